"""`wenlan-data eval`: measures a checkpoint on a corpus, or embeds the corpus with it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from wenlan_data.cli.terminal import echo, print_json

if TYPE_CHECKING:
    from wenlan_data.eval.embed import EmbeddingModel

_CHECKPOINT = click.option(
    "--checkpoint",
    required=True,
    type=click.Path(path_type=Path),
    help="A checkpoint, or the folder of a run: its best checkpoint, else its newest.",
)
_SHARDS = click.option(
    "--shards",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A corpus, a folder of tars, or a tar; repeatable.",
)
_WORKERS = click.option(
    "--workers",
    default=2,
    show_default=True,
    type=click.IntRange(0),
    help="Number of loading processes.",
)


@click.group("eval")
def evaluate() -> None:
    """Measure a trained model, or embed a corpus with it."""


@evaluate.command()
@_CHECKPOINT
@_SHARDS
@_WORKERS
@click.option(
    "--texts",
    default="caption",
    show_default=True,
    type=click.Choice(["caption", "all"]),
    help="Texts that count as correct for an image.",
)
@click.option(
    "--equal-texts",
    default="merge",
    show_default=True,
    type=click.Choice(["merge", "separate"]),
    help="Equal texts of several samples: merge counts them as one text, correct for each of its "
    "images; separate counts each by itself, correct for its own image only.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def retrieval(
    checkpoint: Path,
    shards: tuple[Path, ...],
    workers: int,
    texts: str,
    equal_texts: Literal["merge", "separate"],
    as_json: bool,
) -> None:
    """Measure image-text retrieval over a corpus, both ways."""
    from wenlan_data.cli.train import need_torch

    need_torch()
    from wenlan_data.eval.corpus_eval import corpus_retrieval
    from wenlan_data.eval.embed import load_model
    from wenlan_data.eval.retrieval import EQUAL_TEXTS

    found = corpus_retrieval(
        load_model(checkpoint),
        shards,
        every_text=texts == "all",
        equal_texts=equal_texts,
        workers=workers,
    )
    if as_json:
        print_json({**found.as_json(), "texts": texts, "equal_texts": equal_texts})
        return
    for direction, values in found.as_json().items():
        recalls = "  ".join(f"R@{cut} {100 * values[f'recall@{cut}']:5.1f}" for cut in (1, 5, 10))
        ranks = f"rank: median {values['median_rank']:g}, mean {values['mean_rank']:.1f}"
        echo(
            f"{direction.replace('_', ' '):14} {recalls}  {ranks}  "
            f"({values['queries']:.0f} queries)"
        )
    echo(f"{'equal texts':14} {equal_texts}: {EQUAL_TEXTS[equal_texts]}")


@evaluate.command()
@_CHECKPOINT
@_SHARDS
@_WORKERS
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="New folder for the vectors."
)
@click.option(
    "--regions",
    is_flag=False,
    flag_value="bf16",
    type=click.Choice(["bf16", "fp32"]),
    help="Write region features for `image.features` of a training instead, in this type "
    "(bf16 without one); a folder that holds some is completed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def embed(
    checkpoint: Path,
    shards: tuple[Path, ...],
    workers: int,
    out: Path,
    regions: Literal["bf16", "fp32"] | None,
    as_json: bool,
) -> None:
    """Write the image and text vectors of every sample, in the layout of clip-retrieval."""
    from wenlan_data.cli.train import need_torch

    need_torch()
    from wenlan_data.eval.corpus_eval import write_embeddings
    from wenlan_data.eval.embed import load_model

    model = load_model(checkpoint)
    if regions:
        _embed_regions(model, shards, workers, out, regions, as_json=as_json)
        return
    count = write_embeddings(model, shards, out, workers=workers)
    if as_json:
        print_json({"samples": count, "width": model.config.embedding, "out": str(out)})
        return
    echo(
        f"{count} samples, {model.config.embedding} values each: "
        f"{out}/img_emb, {out}/text_emb, {out}/metadata"
    )


def _embed_regions(
    model: "EmbeddingModel",
    shards: tuple[Path, ...],
    workers: int,
    out: Path,
    regions: Literal["bf16", "fp32"],
    *,
    as_json: bool,
) -> None:
    from wenlan_data.eval.region_features import write_region_features

    found = write_region_features(model, shards, out, kind=regions, workers=workers)
    if as_json:
        print_json({**asdict(found), "type": regions, "out": str(out)})
        return
    echo(
        f"{found.samples} samples, {found.regions} regions of {found.width} values each "
        f"({regions}, {found.bytes / 2**20:.1f} MiB): {out}"
    )
