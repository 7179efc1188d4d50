"""`wenlan-data shards near`: what in a corpus looks like a picture."""

from pathlib import Path

import click

from wenlan_data.cli.terminal import printable


@click.command()
@click.argument("corpus", metavar="CORPUS", type=click.Path(path_type=Path))
@click.argument("picture", metavar="IMAGE|KEY")
@click.option(
    "--radius",
    default=8,
    show_default=True,
    type=click.IntRange(0, 64),
    help="pHash bits of 64 that differ.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def near(corpus: Path, picture: str, radius: int, as_json: bool) -> None:
    """What is near a picture, a file or a sample's KEY, by pHash; nearest first, with the distances.

    A sample asked for by its key comes with distance 0.
    """
    import json
    from dataclasses import asdict

    from wenlan_data.dedupe.search import find_near

    found = find_near(corpus, picture, radius)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], ensure_ascii=True))
        return
    for one in found:
        words = (
            f"{one.distance:2}",
            f"pdq {one.pdq_distance:3}",
            one.key,
            one.shard,
            one.image_url,
            one.caption,
        )
        click.echo(printable("  ".join(words)))
    if not found:
        click.echo(f"nothing within {radius} bits")
