"""`report.html` of a run: curves of its log, retrieval metrics and examples, without scripts."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from torch import Tensor

from wenlan_data.errors import os_errors
from wenlan_data.eval.embed import EmbeddingModel, Embeddings, concatenate, embed_corpus
from wenlan_data.eval.retrieval import DirectionMetrics, retrieval
from wenlan_data.files import write_atomic
from wenlan_data.model.config import TrainConfig
from wenlan_data.shard.find import find_sample
from wenlan_data.shard.format import image_of
from wenlan_data.shard.reader import read_members
from wenlan_data.train.run_log import read_log

PAGE = "report.html"
MAX_PAIRS = 1000
MAX_POINTS = 300
"""Points of a curve."""
EXAMPLES = 8
TOP_K = 5
THUMBNAIL_PX = 160
CURVES = {
    "loss": "loss",
    "image_to_text_top1": "image to text: top-1 accuracy",
    "text_to_image_top1": "text to image: top-1 accuracy",
    "positive": "similarity of positives",
    "negative": "similarity of negatives",
    "gradient_norm": "norm of the gradients",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A curve as the points of an SVG polyline in a box of 100 x 40."""

    title: str
    points: str
    low: str
    high: str


def write_report(
    run: Path,
    config: TrainConfig,
    model: EmbeddingModel,
    shards: Sequence[Path],
    *,
    trained_on: bool,
    workers: int,
) -> Path:
    """Writes the page by one rename; returns its path.

    `trained_on` states whether `shards` are those of the training.
    """
    steps = [entry for entry in read_log(run) if entry["kind"] == "step"]
    embeddings = concatenate(list(embed_corpus(model, shards, workers=workers, limit=MAX_PAIRS)))
    losses = _series(steps, "loss") or [float("nan")]
    environment = Environment(
        loader=PackageLoader("wenlan_data.train"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    text = environment.get_template("report.html.j2").render(
        name=config.name,
        steps=len(steps),
        samples=sum(cast("int", entry["samples"]) for entry in steps),
        first=losses[0],
        last=losses[-1],
        queue=config.negatives.queue,
        curves=[curve(title, _series(steps, name)) for name, title in CURVES.items()],
        trained_on=trained_on,
        **_examples(embeddings, shards),
    )
    with os_errors(run / PAGE):
        write_atomic(run / PAGE, text.encode())
    return run / PAGE


def curve(title: str, values: Sequence[float]) -> Curve:
    """A curve through at most `MAX_POINTS` means of consecutive finite values."""
    finite = [value for value in values if math.isfinite(value)]
    size = max(1, -(-len(finite) // MAX_POINTS))
    chunks = [finite[start : start + size] for start in range(0, len(finite), size)]
    means = [sum(chunk) / len(chunk) for chunk in chunks]
    low, high = min(means, default=0.0), max(means, default=0.0)
    x_range, y_range = max(1, len(means) - 1), (high - low) or 1.0
    # 2 units of margin above and below: the line is wider than a point.
    points = " ".join(
        f"{100 * index / x_range:.1f},{38 - 36 * (mean - low) / y_range:.1f}"
        for index, mean in enumerate(means)
    )
    return Curve(title=title, points=points, low=f"{low:.3g}", high=f"{high:.3g}")


def _series(steps: Sequence[dict[str, object]], name: str) -> list[float]:
    figures = (cast("dict[str, float]", entry["figures"]) for entry in steps)
    return [one[name] for one in figures if name in one]


def _examples(embeddings: Embeddings, shards: Sequence[Path]) -> dict[str, object]:
    """Retrieval metrics over all samples, and the best matches of `EXAMPLES` of them."""
    captions = embeddings.texts
    texts = list(dict.fromkeys(captions))
    column = {text: index for index, text in enumerate(texts)}
    first_row = {text: row for row, text in reversed(list(enumerate(captions)))}
    text_ME = embeddings.text_BE[[first_row[text] for text in texts]]
    pairs = [(row, column[text]) for row, text in enumerate(captions)]
    metrics = retrieval(embeddings.image_BE, text_ME, pairs)
    similarity = embeddings.image_BE @ text_ME.T
    rows = _evenly_spaced(len(embeddings.keys))
    images = _ExampleImages(shards, embeddings.keys)
    return {
        "count": len(embeddings.keys),
        "rows": [
            _table_row("image to text", metrics.image_to_text),
            _table_row("text to image", metrics.text_to_image),
        ],
        "images": [
            {
                "src": images.src(row),
                "texts": [
                    (texts[match], texts[match] == captions[row])
                    for match in _top_k(similarity[row])
                ],
            }
            for row in rows
        ],
        "texts": [
            {
                "text": captions[row],
                "images": [
                    (images.src(match), captions[match] == captions[row])
                    for match in _top_k(similarity[:, column[captions[row]]])
                ],
            }
            for row in rows
        ],
    }


def _table_row(name: str, metrics: DirectionMetrics) -> dict[str, str]:
    recalls = {
        word: f"{100 * metrics.recall[k]:.1f} %"
        for word, k in (("one", 1), ("five", 5), ("ten", 10))
    }
    return {
        "name": name,
        **recalls,
        "median": f"{metrics.median_rank:g}",
        "mean": f"{metrics.mean_rank:.1f}",
    }


def _evenly_spaced(count: int) -> list[int]:
    """At most `EXAMPLES` rows, evenly spaced over `count`."""
    examples = min(EXAMPLES, count)
    return [index * count // examples for index in range(examples)]


def _top_k(similarity: Tensor) -> list[int]:
    return [int(index) for index in similarity.topk(min(TOP_K, len(similarity))).indices]


class _ExampleImages:
    """Thumbnails of samples as data URLs, each made once."""

    def __init__(self, shards: Sequence[Path], keys: Sequence[str]) -> None:
        self._shards, self._keys = list(shards), keys
        self._urls: dict[int, str] = {}

    def src(self, row: int) -> str:
        """The thumbnail of a row; empty where its image cannot be decoded."""
        if row not in self._urls:
            path, group = find_sample(self._shards, self._keys[row])
            self._urls[row] = _data_url(image_of(read_members(path, group)) or b"")
        return self._urls[row]


def _data_url(encoded: bytes) -> str:
    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            # Draft mode: libjpeg decodes at a fraction of the size.
            image.draft("RGB", (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
            image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
            image.convert("RGB").save(out, "JPEG", quality=80)
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
