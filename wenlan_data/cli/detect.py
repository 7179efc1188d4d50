"""`wenlan-data detect`: draws the regions that a detector finds, for the choice of one."""

from pathlib import Path

import click

from wenlan_data.cli.plugin_option import plugins_option
from wenlan_data.cli.terminal import echo, print_json


@click.command()
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE..."
)
@click.option("--detector", default="grid", show_default=True, help="Name of a detector.")
@plugins_option
@click.option("--weights", help="File of weights, or a name; each detector has a default.")
@click.option(
    "--device", default="cpu", show_default=True, help="Such as cpu or cuda:0; never guessed."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the detector, or max_regions.",
)
@click.option(
    "--max-side-px",
    default=1024,
    show_default=True,
    type=click.IntRange(16),
    help="Longer side of the stored image.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the drawings, created if missing (default: beside each image).",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the regions of each image as a line of JSON, and draw nothing.",
)
def detect(
    images: tuple[Path, ...],
    detector: str,
    weights: str | None,
    device: str,
    settings: tuple[str, ...],
    max_side_px: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find regions in each IMAGE, as a build would in the image that it stores, and draw them.

    The drawing of cat.jpg is cat.regions.jpg; an existing file is not overwritten. A label that is
    not ASCII is drawn as its number in the printed list.
    """
    from wenlan_data.detect.regions import region_finder
    from wenlan_data.report.detection_preview import (
        check_files,
        describe_regions,
        draw_regions,
        load_stored_image,
        parse_detect_rules,
        write_drawing,
    )

    rules = parse_detect_rules(detector, weights, device, settings)
    check_files(images)
    rules.prepare()
    find, _ = region_finder(rules.load(), rules.max_regions)
    for path in images:
        stored = load_stored_image(path, max_side_px)
        (regions,) = find([stored])
        row = {
            "image": str(path),
            "width": stored.width,
            "height": stored.height,
            "regions": [
                {"box": list(one.box_xyxy), "label": one.label, "score": one.score}
                for one in regions
            ],
        }
        if as_json:
            print_json(row)
            continue
        drawn = write_drawing(
            (out or path.parent) / f"{path.stem}.regions.jpg", draw_regions(stored, regions)
        )
        echo(f"{drawn}: {describe_regions(regions)}")
