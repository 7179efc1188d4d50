"""`wenlan-data gc`: removes intermediate files that no later build needs."""

from pathlib import Path

import click

from wenlan_data.cli.terminal import echo, print_json


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option(
    "--work",
    default=None,
    type=click.Path(path_type=Path),
    help="Work folder, if it is not CORPUS/.work",
)
@click.option(
    "--warcs",
    is_flag=True,
    help="Also remove the recorded pages and images, which `build --from` needs.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def gc(corpus: Path, work: Path | None, warcs: bool, dry_run: bool, as_json: bool) -> None:
    """Remove files that are not needed to read, extend or rebuild CORPUS."""
    from wenlan_data.layout import WORK
    from wenlan_data.run.gc import collect

    removed = collect(corpus, work or corpus / WORK, warcs=warcs, dry_run=dry_run)
    if as_json:
        print_json(
            {"removed_bytes": removed.bytes, "removed_files": removed.files, "dry_run": dry_run}
        )
    else:
        verb = "would remove" if dry_run else "removed"
        files = "1 file" if removed.files == 1 else f"{removed.files} files"
        echo(f"{verb} {files}, {removed.bytes / 1e6:.1f} MB")
