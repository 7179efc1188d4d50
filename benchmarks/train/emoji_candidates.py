"""Computes the recall of a run of `emoji.py --splits unseen` with as many candidates as the
baseline had.

python -m benchmarks.train.emoji_candidates --work FOLDER --run FOLDER/runs/NAME [--among 327]

A query is harder if there are more candidates, so recalls over 344 and over 327 do not compare. The
script prints the exact mean over all draws of `--among` pairs. A query of rank r among N counts for
R@k if at most k-1 of the r-1 wrong candidates ranked before the correct one are drawn; the
probability is hypergeometric, with `--among` - 1 of N-1 other candidates drawn.
"""

import argparse
import json
from math import comb
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.train.emoji import BASELINE, CUTS, SPLITS, corpora_of
from benchmarks.train.emoji_corpora import corpora
from wenlan_data.eval.embed import embed_corpus, embed_texts, load_model
from wenlan_data.eval.retrieval import target_ranks


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--among", type=int, default=327)
    given = parser.parse_args()
    _, test = corpora_of(SPLITS["unseen"], corpora(given.work))
    forward, backward = ranks_of(given.run, test)
    if not 1 <= given.among <= len(forward):
        raise SystemExit(f"--among {given.among}: choose 1 to {len(forward)}, the pairs there are")
    found = {
        way: {"all": recalls(rank, len(rank)), "among": recalls(rank, given.among)}
        for way, rank in (("image_to_text", forward), ("text_to_image", backward))
    }
    print(json.dumps({"run": given.run.name, "among": given.among, "pairs": len(forward), **found,
                      "baseline": BASELINE["unseen"]}))  # fmt: skip


def ranks_of(run: Path, test: list[Path]) -> tuple[Tensor, Tensor]:
    """Returns ranks in both directions, from 1. Exits if two images share a caption, because pairs
    cannot be drawn then."""
    model = load_model(run)
    parts = list(embed_corpus(model, test, workers=0))
    captions = [text for part in parts for text in part.texts]
    if len(set(captions)) != len(captions):
        raise SystemExit(f"{run}: two images have one caption, so pairs cannot be drawn")
    images, texts = torch.cat([part.image_BE for part in parts]), embed_texts(model, captions)
    pairs = [(row, row) for row in range(len(captions))]
    return target_ranks(images, texts, pairs), target_ranks(texts, images, pairs)


def recalls(rank: Tensor, among: int) -> list[float]:
    """Returns recall in percent at each of `CUTS`: the mean over all draws of `among` candidates
    that include the correct one."""
    every = len(rank)
    chances = [[chance(int(one), every, among, cut) for one in rank] for cut in CUTS]
    return [round(100 * sum(one) / every, 1) for one in chances]


def chance(rank: int, every: int, among: int, cut: int) -> float:
    """Returns the probability that the candidate of `rank` among `every` is in the first `cut` of
    `among` drawn ones."""
    before, others, kept = rank - 1, every - 1, among - 1
    drawn = sum(
        comb(before, few) * comb(others - before, kept - few) for few in range(min(cut, before + 1))
    )
    return drawn / comb(others, kept)


if __name__ == "__main__":
    main()
