"""`wenlan-data shards near`: finds samples that look like an image."""

from pathlib import Path

import click

from wenlan_data.cli.terminal import echo, print_json


@click.command()
@click.argument("corpus", metavar="CORPUS", type=click.Path(path_type=Path))
@click.argument("image", metavar="IMAGE|KEY")
@click.option(
    "--radius",
    default=8,
    show_default=True,
    type=click.IntRange(0, 64),
    help="Largest pHash distance: differing bits of 64.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def near(corpus: Path, image: str, radius: int, as_json: bool) -> None:
    """List samples of CORPUS near an IMAGE file or the sample KEY by pHash, the nearest first.

    The sample of KEY itself is listed with distance 0.
    """
    from dataclasses import asdict

    from wenlan_data.dedupe.search import find_near

    found = find_near(corpus, image, radius)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        columns = (
            f"{one.distance:2}",
            f"pdq {one.pdq_distance:3}",
            one.key,
            one.shard,
            one.image_url,
            one.caption,
        )
        echo("  ".join(columns))
    if not found:
        echo(f"nothing within {radius} bits")
