"""`wenlan-data shards html`: the report of a corpus, or of WebDataset tars of any origin."""

from pathlib import Path

import click

from wenlan_data.cli.terminal import echo, print_json


@click.command()
@click.argument(
    "paths", nargs=-1, required=True, metavar="CORPUS|TAR...", type=click.Path(path_type=Path)
)
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder for index.html and thumbs/; created if needed.",
)
@click.option(
    "--work",
    default=None,
    type=click.Path(path_type=Path),
    help="Work folder of CORPUS, for images of drops. Default: CORPUS/.work",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def html(paths: tuple[Path, ...], out: Path, work: Path | None, as_json: bool) -> None:
    """Write DIR/index.html: statistics, samples and drops, on one page that needs no network."""
    from wenlan_data.report.html import write_page
    from wenlan_data.report.write_all import read_report_data

    report = read_report_data(paths, work)
    page = write_page(report, out)
    samples, shown = report.statistics.samples, len(report.samples)
    if as_json:
        print_json({"page": str(page), "samples": samples, "shown": shown})
    else:
        echo(f"{page}: {shown} of {samples} samples")
