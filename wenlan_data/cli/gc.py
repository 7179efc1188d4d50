"""`wenlan-data gc`: gives back the disk that nobody needs to go on."""

import json
from pathlib import Path

import click


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
    help="Also remove the recorded pages and pictures: `build --from` needs these.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def gc(corpus: Path, work: Path | None, warcs: bool, dry_run: bool, as_json: bool) -> None:
    """Remove what CORPUS does not need to be read, extended or rebuilt."""
    from wenlan_data.run.gc import collect

    removed = collect(corpus, work or corpus / ".work", warcs=warcs, dry_run=dry_run)
    if as_json:
        click.echo(
            json.dumps(
                {"removed_bytes": removed.bytes, "removed_files": removed.files, "dry_run": dry_run}
            )
        )
    else:
        verb = "would remove" if dry_run else "removed"
        click.echo(f"{verb} {removed.files} files, {removed.bytes / 1e6:.1f} MB")
