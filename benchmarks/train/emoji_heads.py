"""Trains a baseline for `emoji.py`: two heads on frozen features of the same backbones, on its
splits.

python -m benchmarks.train.emoji_heads --work FOLDER [--splits noto,fluent,unseen] [--seeds 0] [--width 512]

The mean of MobileNetV2's feature map and of e5-small's hidden states, each standardised, goes
through two layers with dropout; InfoNCE over the batch; texts are chosen as `text.choose: mixed`
does. Features are computed once for all splits. The split `folds` serves to choose settings of
`unseen` without its test set: it trains on all styles of four fifths of the seen emoji and tests on
Noto's drawings of the last fifth, for each fifth.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.train.emoji import SPLITS, corpora_of, in_percent, with_backbones
from benchmarks.train.emoji_corpora import STYLES, corpora
from wenlan_data.eval.corpus_eval import read_texts
from wenlan_data.eval.retrieval import retrieval
from wenlan_data.load import Loader, SamplingSettings, TextSettings
from wenlan_data.load.text import choose_text, load_tokenizer, pad_tokens
from wenlan_data.model.allocator import keep_freed_memory
from wenlan_data.model.attention import masked_mean
from wenlan_data.model.config import TrainConfig, load_config
from wenlan_data.model.image_tower import feature_map
from wenlan_data.model.inputs import normalise_images
from wenlan_data.model.tokenizer import vocabulary_size, write_tokenizer
from wenlan_data.model.towers import Towers, make_towers

EMBEDDING = 256
BATCH, RATE, DECAY, TEMPERATURE = 256, 1e-3, 1e-2, 0.07
FOLDS = 5
Samples = tuple[Tensor, list[list[str]]]
"""(N, 1280) of images, and the texts of each, the caption first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The settings that are chosen on folds."""

    width: int
    """Values between the two layers of a head."""
    dropout: float
    steps: int


@dataclass(slots=True)
class Features:
    """Frozen features: of images by corpus, of texts by text."""

    tokenizer: Path
    config: TrainConfig
    towers: Towers
    images: dict[Path, Samples] = field(default_factory=dict)
    texts: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def of(self, paths: list[Path]) -> Samples:
        """Returns the features of these corpora."""
        for path in paths:
            if path not in self.images:
                self.images[path] = self._image_features(path)
                self._read(
                    sorted(
                        {text for texts in self.images[path][1] for text in texts} - set(self.texts)
                    )
                )
        return torch.cat([self.images[path][0] for path in paths]), [
            texts for path in paths for texts in self.images[path][1]
        ]

    def _image_features(self, path: Path) -> Samples:
        keys: list[str] = []
        found: list[Tensor] = []
        with Loader(
            [path],
            batch_size=64,
            size_px=self.config.image.size_px,
            workers=0,
            sampling=SamplingSettings(shuffle=None),
            texts=TextSettings(tokenizer=self.tokenizer),
        ) as loader:
            for batch in loader:
                kept = [row for row, again in enumerate(batch["repeated"].tolist()) if not again]
                image = normalise_images(batch["image"][kept], self.config)
                found.append(
                    feature_map(self.towers.image.backbone, image, self.towers.image.width).mean(
                        (2, 3)
                    )
                )
                keys += [batch["key"][row] for row in kept]
        texts = read_texts([path], set(keys))
        return torch.cat(found), [texts[key] for key in keys]

    def _read(self, texts: list[str]) -> None:
        tokenizer = load_tokenizer(self.tokenizer, self.config.text.max_tokens)
        for start in range(0, len(texts), 256):
            ids, _ = tokenizer.encode(texts[start : start + 256])
            tokens, mask = (torch.from_numpy(one) for one in pad_tokens(ids))
            states = self.towers.text.backbone(
                input_ids=tokens, attention_mask=mask.long()
            ).last_hidden_state
            self.texts.update(
                zip(texts[start : start + 256], masked_mean(states, mask), strict=True)
            )


@dataclass(frozen=True, slots=True)
class Head:
    """Standardises features by the training set and maps them to L2-normalised vectors."""

    layers: nn.Module
    mean: Tensor
    deviation: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """Returns vectors (B, E)."""
        return functional.normalize(self.layers((values - self.mean) / self.deviation), dim=-1)


def main() -> None:
    """Prints one JSON object per run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--splits", default="noto,fluent,unseen")
    parser.add_argument("--seeds", default="0")
    parser.add_argument(
        "--width", type=int, default=512, help="values between the two layers of a head"
    )
    parser.add_argument(
        "--size-px", type=int, default=224, help="side of the images that MobileNetV2 sees"
    )
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    keep_freed_memory()
    choice = Choice(width=given.width, dropout=given.dropout, steps=given.steps)
    made, features = corpora(given.work), backbones(given.work, given.size_px)
    for name in given.splits.split(","):
        for part, train, test in parts(name, made, features):
            for seed in given.seeds.split(","):
                torch.manual_seed(int(seed))
                start = time.process_time()
                heads = trained(*train, features.texts, choice)
                spent = {
                    "split": part,
                    "seed": int(seed),
                    "size_px": given.size_px,
                    **asdict(choice),
                    "cpu_s": round(time.process_time() - start, 1),
                }
                print(json.dumps({**spent, **tested(heads, *test, features.texts)}), flush=True)


def parts(
    name: str, made: dict[tuple[str, str], Path], features: Features
) -> Iterator[tuple[str, Samples, Samples]]:
    """Yields the name of a split with its training and its test data."""
    if name != "folds":
        train, test = (features.of(paths) for paths in corpora_of(SPLITS[name], made))
        yield name, train, test
        return
    everything, tested_on = (
        features.of([made[style, "seen"] for style in styles]) for styles in (STYLES, ("google",))
    )
    for fold in range(FOLDS):
        kept, held = _rows(everything, fold, within=False), _rows(tested_on, fold, within=True)
        yield f"fold {fold}", kept, held


def _rows(samples: Samples, fold: int, *, within: bool) -> Samples:
    """Returns the rows whose emoji is in a fold, or is not."""
    images, texts = samples
    rows = [row for row, one in enumerate(texts) if (fold_of(one[0]) == fold) == within]
    return images[rows], [texts[row] for row in rows]


def fold_of(caption: str) -> int:
    """Returns the fold of an emoji, the same one in every style."""
    return hashlib.sha256(caption.encode()).digest()[0] % FOLDS


def backbones(work: Path, size_px: int) -> Features:
    """Returns the backbones of `emoji.py`, unchanged."""
    config = load_config("brivl-tiny", [*with_backbones(work), f"image.size_px={size_px}"])
    tokenizer = work / "heads-tokenizer.json"
    write_tokenizer(config.text, (), tokenizer)
    return Features(tokenizer, config, make_towers(config, vocabulary_size(tokenizer)).eval())


def trained(
    images: Tensor, texts: list[list[str]], known: dict[str, Tensor], choice: Choice
) -> tuple[Head, Head]:
    """Trains both heads. A pair trains with its caption at a probability of 1/2, else with another
    text; equal captions are masked."""
    places = {text: at for at, text in enumerate(sorted({text for one in texts for text in one}))}
    captions = sorted({one[0] for one in texts})
    number = {text: at for at, text in enumerate(captions)}
    caption = torch.tensor([number[one[0]] for one in texts])
    typed = [[{"text": text} for text in one] for one in texts]
    values = torch.stack([known[text] for text in places])
    heads = _head(images, choice), _head(torch.stack([known[text] for text in captions]), choice)
    learning = [parameter for head in heads for parameter in head.layers.parameters()]
    optimizer = torch.optim.AdamW(learning, lr=RATE, weight_decay=DECAY)
    for rate, rows in _steps(choice.steps, len(images)):
        draws = torch.rand(len(rows)).tolist()
        chosen = [
            choose_text("mixed", texts[row][0], typed[row], draw)[0]
            for row, draw in zip(rows.tolist(), draws, strict=True)
        ]
        first, second = (
            heads[0](images[rows]),
            heads[1](values[[places[text] for text in chosen]]),
        )
        same = caption[rows][:, None] == caption[rows][None]
        ignored = same & ~torch.eye(len(rows), dtype=torch.bool)
        logits = (first @ second.T / TEMPERATURE).masked_fill(ignored, float("-inf"))
        right = torch.arange(len(rows))
        loss = functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch's own
        optimizer.step()
    return heads


@torch.no_grad()
def tested(
    heads: tuple[Head, Head], images: Tensor, texts: list[list[str]], known: dict[str, Tensor]
) -> dict[str, object]:
    """Returns figures in the format of `emoji.py`."""
    for head in heads:
        head.layers.eval()
    number = {text: at for at, text in enumerate(dict.fromkeys(one[0] for one in texts))}
    pairs = [(row, number[one[0]]) for row, one in enumerate(texts)]
    found = retrieval(
        heads[0](images), heads[1](torch.stack([known[text] for text in number])), pairs
    )
    return in_percent(found.as_json())


def _head(values: Tensor, choice: Choice) -> Head:
    layers = nn.Sequential(
        nn.Dropout(choice.dropout), nn.Linear(values.shape[1], choice.width), nn.GELU(), nn.Dropout(choice.dropout),
        nn.Linear(choice.width, EMBEDDING),
    )  # fmt: skip
    return Head(layers, values.mean(0), values.std(0) + 1e-3)


def _steps(steps: int, count: int) -> Iterator[tuple[float, Tensor]]:
    for step in range(steps):
        yield RATE * (1 - step / steps), torch.randint(count, (BATCH,))


if __name__ == "__main__":
    main()
