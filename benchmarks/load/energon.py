"""Runs energon as its documentation shows for crude data: prepared folder, cooker, task encoder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.load.peers import Case, Collate, Turbo, batch_len

_DATASET = "__module__: megatron.energon\n__class__: CrudeWebdataset\n"


def energon(case: Case) -> Iterator[int]:
    """Uses its index over links to our shards, its shuffle and its loader, with our decoder."""
    from megatron.energon import WorkerConfig, get_loader, get_train_dataset

    folder = _prepared(case)
    dataset = get_train_dataset(
        str(folder),
        batch_size=case.batch_size,
        shuffle_buffer_size=1000,
        max_samples_per_sequence=100,
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=case.workers),
        task_encoder=_task_encoder(case),
    )
    for image, tokens in get_loader(dataset):
        yield batch_len(image, tokens, case)


def _prepared(case: Case) -> Path:
    from megatron.energon.epathlib import EPath
    from megatron.energon.flavors import BaseWebdatasetFactory

    folder = case.work / f"energon-{case.corpus.name}"
    names = [Path(tar).name for tar in case.tars]
    description = folder / ".nv-meta" / "dataset.yaml"
    if not description.is_file():
        folder.mkdir(exist_ok=True)
        for tar in case.tars:
            link = folder / Path(tar).name
            link.unlink(missing_ok=True)
            os.link(tar, link)
        BaseWebdatasetFactory.prepare_dataset(
            EPath(str(folder.resolve())), names, split_parts_ratio=[("train", 1.0)], workers=1
        )
        description.write_text(_DATASET)
    return folder


def _task_encoder(case: Case) -> object:
    from megatron.energon import Cooker, DefaultTaskEncoder, Sample, basic_sample_keys, stateless

    turbo, collate = Turbo(case.size_px), Collate(case)

    @dataclass
    class Pair(Sample):  # type: ignore[misc]
        image: torch.Tensor
        text: str

    @stateless  # type: ignore[untyped-decorator]
    def cook(sample: dict[str, object]) -> Pair:
        image, text = turbo(sample)
        return Pair(**basic_sample_keys(sample), image=image, text=text)

    class Encoder(DefaultTaskEncoder):  # type: ignore[misc]
        decoder = None
        cookers = (Cooker(cook),)

        def batch(self, samples: list[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
            return collate([(one.image, one.text) for one in samples])

    return Encoder()
