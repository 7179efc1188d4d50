"""`wenlan-data load`: measures how fast a corpus loads on this machine."""

from pathlib import Path

import click

from wenlan_data.cli.terminal import echo, print_json


@click.group()
def load() -> None:
    """Load a corpus, or any WebDataset tars, as batches for training."""


@load.command()
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="CORPUS|FOLDER|TAR...",
    type=click.Path(path_type=Path),
)
@click.option("--batch-size", default=64, show_default=True, type=click.IntRange(1))
@click.option(
    "--size-px",
    default=224,
    show_default=True,
    type=click.IntRange(1),
    help="Side of the square images.",
)
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(0), help="Processes that decode."
)
@click.option(
    "--decoder", default="turbo", show_default=True, type=click.Choice(["turbo", "pillow", "cuda"])
)
@click.option("--tokenizer", help="A tokenizer.json, a vocab.txt or a folder that holds one.")
@click.option("--augment", is_flag=True, help="Vary the colours on the device, as BriVL does.")
@click.option(
    "--device", default="cpu", show_default=True, help="Where the batches go, such as cuda:0."
)
@click.option(
    "--seconds", default=5.0, show_default=True, type=click.FloatRange(0.01), help="For each stage."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def bench(
    paths: tuple[Path, ...],
    batch_size: int,
    size_px: int,
    workers: int,
    decoder: str,
    tokenizer: str | None,
    augment: bool,
    device: str,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure samples per second of every stage alone and of the loader; name the slowest stage."""
    from dataclasses import asdict

    from wenlan_data.load import Augment, ImageSettings, Loader, TextSettings
    from wenlan_data.load.bench import measure_roofline

    def make_loader() -> Loader:
        return Loader(
            paths,
            batch_size=batch_size,
            size_px=size_px,
            workers=workers,
            device=device,
            images=ImageSettings(decoder=decoder, augment=Augment() if augment else None),
            texts=TextSettings(tokenizer=tokenizer),
        )

    found = measure_roofline(make_loader, seconds=seconds)
    if as_json:
        fields = {**asdict(found), "of_decode": found.of_decode, "narrowest": found.narrowest}
        print_json(fields, indent=1)
        return
    echo(found.line())
    echo(
        f"first batch {found.first_batch_s:.2f} s  waited {found.wait_share:.0%}  "
        f"bad {found.bad_share:.2%}"
    )
    shares = "  ".join(f"{stage} {share:.0%}" for stage, share in found.occupancy.items())
    echo(f"the workers' time: {shares}")
