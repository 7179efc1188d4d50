"""`report.html` of a run: curves of its log, retrieval figures and examples, on one page without scripts."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from torch import Tensor

from wenlan_data.errors import os_errors
from wenlan_data.eval.embed import Model, Vectors, vectors_of
from wenlan_data.eval.retrieval import Direction, retrieval
from wenlan_data.files import write_atomic
from wenlan_data.model.config import TrainConfig
from wenlan_data.shard.find import find_sample
from wenlan_data.shard.reader import read_members
from wenlan_data.train.run_log import read_log

PAGE = "report.html"
MAX_PAIRS = 1000
MAX_POINTS = 300
EXAMPLES = 8
BEST = 5
THUMB_PX = 160
CURVES = {
    "loss": "loss",
    "image_to_text_top1": "picture to text: right at once",
    "text_to_image_top1": "text to picture: right at once",
    "positive": "similarity of pairs",
    "negative": "similarity of others",
    "gradient_norm": "norm of the gradients",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A curve in a box of 100 x 40."""

    title: str
    points: str
    low: str
    high: str


def write_report(
    run: Path,
    config: TrainConfig,
    model: Model,
    shards: Sequence[Path],
    *,
    seen: bool,
    workers: int,
) -> Path:
    """Write the page, by one rename, and return its path. `seen`: the pairs are those of the training."""
    steps = [one for one in read_log(run) if one["kind"] == "step"]
    found = _joined(list(vectors_of(model, shards, workers=workers, limit=MAX_PAIRS)))
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
        samples=sum(cast("int", one["samples"]) for one in steps),
        first=losses[0],
        last=losses[-1],
        queue=config.negatives.queue,
        charts=[chart(title, _series(steps, name)) for name, title in CURVES.items()],
        seen=seen,
        **_examples(found, shards),
    )
    with os_errors(run / PAGE):
        write_atomic(run / PAGE, text.encode())
    return run / PAGE


def chart(title: str, values: Sequence[float]) -> Chart:
    """A curve through at most `MAX_POINTS` means of neighbouring values; values that are not finite are left out."""
    finite = [value for value in values if value == value and abs(value) != float("inf")]
    size = max(1, -(-len(finite) // MAX_POINTS))
    means = [
        sum(finite[at : at + size]) / len(finite[at : at + size])
        for at in range(0, len(finite), size)
    ]
    low, high = min(means, default=0.0), max(means, default=0.0)
    across, up = max(1, len(means) - 1), (high - low) or 1.0
    points = " ".join(
        f"{100 * at / across:.1f},{38 - 36 * (one - low) / up:.1f}" for at, one in enumerate(means)
    )
    return Chart(title=title, points=points, low=f"{low:.3g}", high=f"{high:.3g}")


def _series(steps: Sequence[dict[str, object]], name: str) -> list[float]:
    return [cast("dict[str, float]", one["figures"])[name] for one in steps]


def _examples(found: Vectors, shards: Sequence[Path]) -> dict[str, object]:
    texts = list(dict.fromkeys(found.texts))
    number = {text: at for at, text in enumerate(texts)}
    first_row = {text: row for row, text in reversed(list(enumerate(found.texts)))}
    text_ME = found.text_BE[[first_row[text] for text in texts]]
    pairs = [(row, number[text]) for row, text in enumerate(found.texts)]
    figures = retrieval(found.image_BE, text_ME, pairs)
    similarity = found.image_BE @ text_ME.T
    rows = _spread(len(found.keys))
    thumbs = _Thumbs(shards, found.keys)
    return {
        "count": len(found.keys),
        "rows": [
            _row("picture to text", figures.image_to_text),
            _row("text to picture", figures.text_to_image),
        ],
        "pictures": [
            {
                "src": thumbs.src(row),
                "texts": [
                    (texts[at], texts[at] == found.texts[row]) for at in _top(similarity[row])
                ],
            }
            for row in rows
        ],
        "texts": [
            {
                "text": found.texts[row],
                "pictures": [
                    (thumbs.src(at), found.texts[at] == found.texts[row])
                    for at in _top(similarity[:, number[found.texts[row]]])
                ],
            }
            for row in rows
        ],
    }


def _row(name: str, way: Direction) -> dict[str, str]:
    recalls = {
        word: f"{100 * way.recall[cut]:.1f} %"
        for word, cut in (("one", 1), ("five", 5), ("ten", 10))
    }
    return {
        "name": name,
        **recalls,
        "median": f"{way.median_rank:g}",
        "mean": f"{way.mean_rank:.1f}",
    }


def _spread(count: int) -> list[int]:
    """Rows spread evenly over all."""
    return [at * count // min(EXAMPLES, count) for at in range(min(EXAMPLES, count))]


def _top(similarity: Tensor) -> list[int]:
    return [int(at) for at in similarity.topk(min(BEST, len(similarity))).indices]


class _Thumbs:
    """Pictures of samples as data URLs."""

    def __init__(self, shards: Sequence[Path], keys: Sequence[str]) -> None:
        self._shards, self._keys = list(shards), keys
        self._made: dict[int, str] = {}

    def src(self, row: int) -> str:
        """The picture of a row, empty where it has none that can be shown."""
        if row not in self._made:
            path, group = find_sample(self._shards, self._keys[row])
            members = read_members(path, group)
            data = next(
                (members[name] for name in ("jpg", "jpeg", "png", "webp") if name in members), b""
            )
            self._made[row] = _data_url(data)
        return self._made[row]


def _data_url(data: bytes) -> str:
    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (2 * THUMB_PX, 2 * THUMB_PX))
            image.thumbnail((THUMB_PX, THUMB_PX))
            image.convert("RGB").save(out, "JPEG", quality=80)
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def _joined(parts: Sequence[Vectors]) -> Vectors:
    return Vectors(
        keys=[key for part in parts for key in part.keys],
        texts=[text for part in parts for text in part.texts],
        image_BE=torch.cat([part.image_BE for part in parts]),
        text_BE=torch.cat([part.text_BE for part in parts]),
    )
