"""`wenlan-data shards`: inspect a corpus, or WebDataset tars of any origin."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wenlan_data.cli.html import html
from wenlan_data.cli.shard_index import index
from wenlan_data.cli.terminal import (
    cell,
    counted,
    dump,
    echo,
    print_counts,
    print_field,
    print_json,
    print_progress,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wenlan_data.shard.reader import SampleMembers

MAX_SAMPLES = 10**12
"""Of a number on the command line: `islice` takes no larger one than 2^63 - 1."""

_paths = click.argument(
    "paths", nargs=-1, required=True, metavar="CORPUS|TAR...", type=click.Path(path_type=Path)
)
_where = click.argument("path", metavar="CORPUS|TAR|FOLDER", type=click.Path(path_type=Path))
_json = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group()
def shards() -> None:
    """Inspect a corpus, or WebDataset tars of any origin."""


shards.add_command(html)
shards.add_command(index)


@shards.command("ls")
@_paths
@click.option("--samples", "with_samples", is_flag=True, help="List the samples, not the shards.")
@_json
def list_shards(paths: tuple[Path, ...], with_samples: bool, as_json: bool) -> None:
    """List shards with their samples and bytes, or samples with their keys and members."""
    rows = _sample_rows(paths) if with_samples else _shard_rows(paths)
    headings: tuple[str, ...] = ()
    for row in rows:
        if not as_json and tuple(row) != headings:
            headings = tuple(row)
            echo("  ".join(headings), dim=True)
        echo(dump(row) if as_json else "  ".join(cell(value) for value in row.values()))


@shards.command()
@_paths
@_json
def stat(paths: tuple[Path, ...], as_json: bool) -> None:
    """Count samples, bytes, image sides, captions, texts, regions, sources and drops."""
    from wenlan_data.shard.summary import summarise

    summary = summarise(paths).as_json()
    if as_json:
        print_json(summary)
        return
    for name, value in summary.items():
        print_counts(name, value)


@shards.command()
@_paths
@_json
def verify(paths: tuple[Path, ...], as_json: bool) -> None:
    """Find corruption, and name its shard, member and byte. Exits with 1 if there is any."""
    from dataclasses import asdict

    from wenlan_data.errors import DamageError
    from wenlan_data.shard.verify import verify as find_corruption

    read: list[str] = []

    def on_shard(name: str) -> None:
        read.append(name)
        if sys.stderr.isatty():
            print_progress(f"shard {len(read)}")

    findings = find_corruption(*paths, on_shard=on_shard)
    if sys.stderr.isatty():
        print_progress("")
    if as_json:
        print_json({"shards": len(read), "findings": [asdict(finding) for finding in findings]})
    for finding in () if as_json else findings:
        member = f" {finding.member}" if finding.member else ""
        echo(f"{finding.shard}:{member} at byte {finding.offset}: {finding.problem}")
    if findings:
        raise DamageError(
            f"{counted(len(findings), 'finding')} in {counted(len(read), 'shard')}: "
            "restore the files named above from a copy, or rebuild the corpus with `build --from`"
        )
    if not as_json:
        echo(f"sound: {counted(len(read), 'shard')}")


@shards.command()
@_where
@click.argument("key", required=False)
@click.option("--number", type=click.IntRange(0, MAX_SAMPLES), help="Index of the sample, from 0.")
@_json
def show(path: Path, key: str | None, number: int | None, as_json: bool) -> None:
    """Print the texts, regions and JSON of one sample, by KEY or --number."""
    from wenlan_data.errors import UsageError
    from wenlan_data.shard.find import find_sample
    from wenlan_data.shard.reader import read_members

    if (key is None) == (number is None):
        raise UsageError("name one sample: give either KEY or --number N")
    tar, group = find_sample([path], key) if key is not None else _find_by_number(path, number or 0)
    members = read_members(tar, group)
    value = _describe(tar, group, members)
    if as_json:
        print_json(value)
        return
    for name, field in value.items():
        print_field(name, field)


@shards.command()
@_where
@click.argument("keys", nargs=-1)
@click.option("--limit", type=click.IntRange(1, MAX_SAMPLES), help="Extract the first N samples.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the files; created if needed.",
)
@_json
def extract(path: Path, keys: tuple[str, ...], limit: int | None, out: Path, as_json: bool) -> None:
    """Write the members of samples as files, by KEYS or --limit. Never overwrites a file."""
    from wenlan_data.errors import UsageError, os_errors
    from wenlan_data.shard.reader import read_members

    if bool(keys) == bool(limit):
        raise UsageError("name the samples: give either KEYS or --limit N")
    written: list[str] = []
    with os_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    for tar, group in _selected(path, keys, limit):
        for extension, data in read_members(tar, group).items():
            written.append(_write_member(out / safe_name(group.key, extension), data))
    echo(dump(written) if as_json else f"{counted(len(written), 'file')} in {out}")


def _shard_rows(paths: tuple[Path, ...]) -> Iterator[dict[str, object]]:
    from wenlan_data.shard.manifest import load_manifest
    from wenlan_data.shard.reader import is_corpus, scan, shard_paths

    for path in paths:
        if is_corpus(path):
            for shard in load_manifest(path).shards:
                own = {"generation": shard.generation, "sha256": shard.sha256}
                yield {"name": shard.name, "samples": shard.samples, "bytes": shard.bytes, **own}
            continue
        for tar in shard_paths([path]):
            yield {
                "name": tar.name,
                "samples": sum(1 for _ in scan(tar)),
                "bytes": tar.stat().st_size,
            }


def _sample_rows(paths: tuple[Path, ...]) -> Iterator[dict[str, object]]:
    for tar, group in _groups(paths):
        members = {name: member.size for name, member in group.members.items()}
        yield {"shard": tar.name, "key": group.key, "members": members}


def _groups(paths: tuple[Path, ...]) -> Iterator[tuple[Path, SampleMembers]]:
    from wenlan_data.shard.reader import scan, shard_paths

    for tar in shard_paths(paths):
        for group in scan(tar):
            yield tar, group


def _find_by_number(path: Path, number: int) -> tuple[Path, SampleMembers]:
    from itertools import islice

    from wenlan_data.errors import UsageError
    from wenlan_data.shard.manifest import load_manifest
    from wenlan_data.shard.reader import is_corpus, scan, shard_paths

    tars, left = shard_paths([path]), number
    if is_corpus(path):
        for shard in load_manifest(path).shards:
            if left < shard.samples:
                break
            tars, left = tars[1:], left - shard.samples
    groups = ((tar, group) for tar in tars for group in scan(tar))
    found = next(islice(groups, left, None), None)
    if found is None:
        raise UsageError(
            f"--number {number}: {path} holds fewer samples (counted from 0): give a smaller number"
        )
    return found


def _selected(
    path: Path, keys: tuple[str, ...], limit: int | None
) -> Iterator[tuple[Path, SampleMembers]]:
    from itertools import islice

    from wenlan_data.shard.find import find_sample

    if limit:
        return islice(_groups((path,)), limit)
    return (find_sample([path], key) for key in keys)


def _describe(tar: Path, group: SampleMembers, members: Mapping[str, bytes]) -> dict[str, object]:
    """Returns the location of a sample and its members, with texts and JSON in full."""
    from wenlan_data.bounded_json import parse_json

    value: dict[str, object] = {"shard": tar.name, "key": group.key}
    value["members"] = {
        name: {"offset": one.offset, "bytes": one.size} for name, one in group.members.items()
    }
    for name, data in members.items():
        if name.endswith(("txt", "text")):
            value[name] = data.decode(errors="replace")
        elif name.endswith("json"):
            try:
                value[name] = parse_json(data)
            except ValueError:
                value[name] = f"not valid JSON: {data[:200]!r}"
    return value


def safe_name(key: str, extension: str) -> str:
    """Returns a safe file name for a member: no folder, no leading dot, at most 200 bytes.

    A name that had to be changed ends in a digest of the original, so that two changed names
    never collide.
    """
    import hashlib
    import re

    name = f"{key}.{extension}"
    safe = re.sub(r"[^\w.-]", "_", name).lstrip(".-")
    if safe == name and len(name.encode()) <= 200:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = safe.encode("ascii", "ignore").decode()[:100].partition(".")[0]
    suffix = re.sub(r"[^a-z0-9.]", "_", extension)[:50]
    return f"{short or 'sample'}-{digest}.{suffix}"


def _write_member(path: Path, data: bytes) -> str:
    """Writes a new file and returns its name. Raises `UsageError` if it exists."""
    from wenlan_data.errors import UsageError, os_errors
    from wenlan_data.files import write_new

    with os_errors(path):
        try:
            write_new(path, data)
        except FileExistsError as error:
            raise UsageError(
                f"{path}: this file exists, or two members have this name: "
                "choose another folder with --out"
            ) from error
    return path.name
