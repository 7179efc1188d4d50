"""`wenlan-data shards index`: writes an index beside each shard, for the loader."""

import sys
from pathlib import Path

import click

from wenlan_data.cli.terminal import counted, echo, print_json, print_progress


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, metavar="CORPUS|TAR...", type=click.Path(path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def index(paths: tuple[Path, ...], as_json: bool) -> None:
    """Write an index beside each shard, which the loader maps instead of making its own.

    An index that fits its shard is kept. It is derived from the tables, and may be deleted.
    """
    from wenlan_data.shard.index_source import find_sources, write_beside

    written = samples = size_bytes = 0
    sources = find_sources(paths)
    for number, source in enumerate(sources):
        if sys.stderr.isatty():
            print_progress(f"shard {number + 1}")
        found, is_new = write_beside(source)
        written += is_new
        samples += found.samples
        size_bytes += found.bytes
    if sys.stderr.isatty():
        print_progress("")
    if as_json:
        counts = {"shards": len(sources), "written": written, "samples": samples}
        print_json({**counts, "bytes": size_bytes})
        return
    kept = f", {len(sources) - written} were there" if written < len(sources) else ""
    echo(f"indexed: {counted(len(sources), 'shard')}{kept}, {samples} samples, {size_bytes} bytes")
