"""`wenlan-data shards html`: the report of a corpus, or of anybody's WebDataset tars."""

from pathlib import Path

import click


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, metavar="CORPUS|TAR...", type=click.Path(path_type=Path)
)
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for index.html and thumbs/; made if needed.",
)
@click.option(
    "--work",
    default=None,
    type=click.Path(path_type=Path),
    help="Work folder of CORPUS, for pictures that were left out. Default: CORPUS/.work",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def html(paths: tuple[Path, ...], out: Path, work: Path | None, as_json: bool) -> None:
    """Write DIR/index.html: figures, samples and what was left out, on one page that needs no network."""
    import json

    from wenlan_data.cli.terminal import printable
    from wenlan_data.report.html import write_page
    from wenlan_data.report.write_all import read_material

    material = read_material(paths, work)
    page = write_page(material, out)
    samples, shown = material.tally.samples, len(material.samples)
    if as_json:
        click.echo(
            json.dumps({"page": str(page), "samples": samples, "shown": shown}, ensure_ascii=False)
        )
    else:
        click.echo(printable(f"{page}: {shown} of {samples} samples"))
