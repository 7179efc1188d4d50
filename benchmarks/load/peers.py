"""Defines one function per program, which yields endless batches of uint8 (B, 3, S, S) and token
ids.

Every peer uses `decode_turbo`, our decoder, except the two that run as their documentation shows.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from wenlan_data.load import ImageSettings, Loader, SampleStream, TextSettings
from wenlan_data.load.decode import decode_turbo
from wenlan_data.load.text import load_tokenizer, pad_tokens
from wenlan_data.shard.reader import read_tar, shard_paths


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The task, the same for all programs."""

    corpus: Path
    vocabulary: Path
    work: Path
    size_px: int
    batch_size: int
    workers: int

    @property
    def tars(self) -> list[str]:
        """Returns the paths of the shards."""
        return [str(path) for path in shard_paths([self.corpus])]


Pair = tuple[torch.Tensor, str]


def ours(case: Case) -> Iterator[int]:
    """Uses `Loader` with boxes and masks, which no peer delivers."""
    epoch = 0
    while True:
        for batch in Loader(
            case.corpus,
            batch_size=case.batch_size,
            size_px=case.size_px,
            workers=case.workers,
            epoch=epoch,
            texts=TextSettings(tokenizer=case.vocabulary),
        ):
            yield batch_len(batch["image"], batch["tokens"], case)
        epoch += 1


def ours_without_boxes(case: Case) -> Iterator[int]:
    """Uses `Loader` without regions, so the JSON is not parsed."""
    epoch = 0
    while True:
        for batch in Loader(
            case.corpus,
            batch_size=case.batch_size,
            size_px=case.size_px,
            workers=case.workers,
            epoch=epoch,
            images=ImageSettings(max_regions=0),
            texts=TextSettings(tokenizer=case.vocabulary),
        ):
            yield batch_len(batch["image"], batch["tokens"], case)
        epoch += 1


def our_stream(case: Case) -> Iterator[int]:
    """Uses `SampleStream` in a plain `DataLoader`."""
    collate = Collate(case)
    return _repeated(
        lambda: DataLoader(
            _Mapped(SampleStream(case.corpus), Turbo(case.size_px)),
            batch_size=case.batch_size,
            num_workers=case.workers,
            collate_fn=collate,
        ),
        case,
    )


def webdataset_plain(case: Case) -> Iterator[int]:
    """Uses it as its README shows: decode to PIL, a torchvision transform, batches by the
    DataLoader."""
    import webdataset
    from torchvision.transforms import v2

    transform = v2.Compose([v2.Resize((case.size_px, case.size_px)), v2.PILToTensor()])
    collate = Collate(case)

    def make() -> object:
        dataset = (
            webdataset.WebDataset(case.tars, shardshuffle=len(case.tars))
            .shuffle(1000)
            .decode("pil")
            .to_tuple("jpg", "txt")
            .map_tuple(transform, str)
        )
        return DataLoader(
            dataset, batch_size=case.batch_size, num_workers=case.workers, collate_fn=collate
        )

    return _repeated(make, case)


def webdataset_tuned(case: Case) -> Iterator[int]:
    """Uses it with our decoder, no JSON, and batches made in the workers."""
    import webdataset

    turbo, collate = Turbo(case.size_px), Collate(case)

    def make() -> object:
        dataset = (
            webdataset.WebDataset(case.tars, shardshuffle=len(case.tars), select_files=_is_wanted)
            .shuffle(1000)
            .map(turbo)
            .batched(case.batch_size, collation_fn=collate)
        )
        return webdataset.WebLoader(dataset, batch_size=None, num_workers=case.workers)

    return _repeated(make, case)


def datasets_streaming(case: Case) -> Iterator[int]:
    """Streams with Hugging Face `datasets` without decoding, then decodes with our decoder."""
    import datasets

    found = datasets.load_dataset(
        "webdataset", data_files={"train": case.tars}, split="train", streaming=True
    )
    found = (
        found.cast_column("jpg", datasets.Image(decode=False))
        .select_columns(["jpg", "txt"])
        .shuffle(buffer_size=1000)
    )
    collate, turbo = Collate(case), Turbo(case.size_px)
    mapped = found.map(_Flat())
    return _repeated(
        lambda: DataLoader(
            mapped,
            batch_size=case.batch_size,
            num_workers=case.workers,
            collate_fn=_Then(turbo, collate),
        ),
        case,
    )


def mosaicml_streaming(case: Case) -> Iterator[int]:
    """Reads shards that were converted to MDS."""
    from streaming import MDSWriter, StreamingDataset

    folder = case.work / f"mds-{case.corpus.name}"
    if not (folder / "index.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        with MDSWriter(out=str(folder), columns={"jpg": "bytes", "txt": "str"}) as out:
            for members in _samples(case):
                out.write({"jpg": members["jpg"], "txt": members["txt"].decode()})
    dataset = StreamingDataset(local=str(folder), shuffle=True, batch_size=case.batch_size)
    then = _Then(Turbo(case.size_px), Collate(case))
    return _repeated(
        lambda: DataLoader(
            dataset, batch_size=case.batch_size, num_workers=case.workers, collate_fn=then
        ),
        case,
    )


def litdata(case: Case) -> Iterator[int]:
    """Reads chunks that `optimize` made, with its own loader."""
    from litdata import StreamingDataLoader, StreamingDataset, optimize

    folder = case.work / f"litdata-{case.corpus.name}"
    if not (folder / "index.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        optimize(
            fn=_tar_samples,
            inputs=case.tars,
            output_dir=str(folder),
            chunk_bytes="64MB",
            num_workers=1,
        )
    dataset = StreamingDataset(str(folder), shuffle=True)
    then = _Then(Turbo(case.size_px), Collate(case))
    loader = StreamingDataLoader(
        dataset, batch_size=case.batch_size, num_workers=case.workers, collate_fn=then
    )
    return _repeated(lambda: loader, case)


def spdl(case: Case) -> Iterator[int]:
    """Uses its tar iterator and its pipeline of threads in this process, with our decoder."""
    from spdl.io import iter_tarfile
    from spdl.pipeline import PipelineBuilder

    turbo, collate = Turbo(case.size_px), Collate(case)

    def source() -> Iterator[dict[str, object]]:
        for tar in case.tars:
            held: dict[str, object] = {}
            with Path(tar).open("rb") as file:
                for name, data in iter_tarfile(file):
                    held[name.rpartition(".")[2]] = bytes(data)
                    if name.endswith(".txt"):
                        yield held
                        held = {}

    def make() -> Iterator[object]:
        builder = PipelineBuilder().add_source(source()).pipe(turbo, concurrency=case.workers)
        pipeline = (
            builder.aggregate(case.batch_size)
            .pipe(collate)
            .add_sink(4)
            .build(num_threads=case.workers + 1)
        )
        with pipeline.auto_stop():
            yield from pipeline.get_iterator(timeout=60)

    return _repeated(make, case)


PROGRAMS: dict[str, Callable[[Case], Iterator[int]]] = {
    "ours": ours,
    "ours_without_boxes": ours_without_boxes,
    "our_stream": our_stream,
    "webdataset_plain": webdataset_plain,
    "webdataset_tuned": webdataset_tuned,
    "datasets_streaming": datasets_streaming,
    "mosaicml_streaming": mosaicml_streaming,
    "litdata": litdata,
    "spdl": spdl,
}


class Turbo:
    """Returns a sample's pixels, uint8 (3, S, S), and its text."""

    def __init__(self, size_px: int) -> None:
        self._size_px = size_px

    def __call__(self, sample: dict[str, object]) -> Pair:
        out = np.empty((self._size_px, self._size_px, 3), np.uint8)
        jpeg, text = sample["jpg"], sample["txt"]
        assert isinstance(jpeg, bytes)
        decode_turbo(memoryview(jpeg), out)
        return torch.from_numpy(out).permute(2, 0, 1), text.decode() if isinstance(
            text, bytes
        ) else str(text)


class Collate:
    """Collates pairs to a batch, with our tokenizer."""

    def __init__(self, case: Case) -> None:
        self._path, self._tokenizer = case.vocabulary, load_tokenizer(case.vocabulary, 80)

    def __call__(self, pairs: list[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, _ = pad_tokens(self._tokenizer.encode([text for _, text in pairs])[0])
        return torch.stack([image for image, _ in pairs]), torch.from_numpy(tokens)


class _Then:
    """Decodes inside the collate function, which a DataLoader runs in its workers."""

    def __init__(self, turbo: Turbo, collate: Collate) -> None:
        self._turbo, self._collate = turbo, collate

    def __call__(self, samples: list[dict[str, object]]) -> tuple[torch.Tensor, torch.Tensor]:
        return self._collate([self._turbo(sample) for sample in samples])


class _Flat:
    """Extracts the bytes from the image column of `datasets`."""

    def __call__(self, row: dict[str, dict[str, object]]) -> dict[str, object]:
        return {"jpg": row["jpg"]["bytes"]}


class _Mapped(torch.utils.data.IterableDataset[Pair]):
    def __init__(self, stream: SampleStream, turbo: Turbo) -> None:
        self._stream, self._turbo = stream, turbo

    def __iter__(self) -> Iterator[Pair]:
        return map(self._turbo, self._stream)


def _repeated(make: Callable[[], object], case: Case) -> Iterator[int]:
    while True:
        for image, tokens in make():  # type: ignore[attr-defined]
            yield batch_len(image, tokens, case)


def batch_len(image: object, tokens: object, case: Case) -> int:
    assert isinstance(image, torch.Tensor)
    assert isinstance(tokens, torch.Tensor)
    if (
        image.dtype != torch.uint8
        or image.shape[1:] != (3, case.size_px, case.size_px)
        or len(tokens) != len(image)
    ):
        raise ValueError(f"not the requested batch: {image.shape}, {image.dtype}, {tokens.shape}")
    return len(image)


def _is_wanted(name: str) -> bool:
    return name.endswith((".jpg", ".txt"))


def _samples(case: Case) -> Iterator[dict[str, bytes]]:
    for tar in case.tars:
        for _, members in read_tar(Path(tar)):
            yield members


def _tar_samples(tar: str) -> Iterator[dict[str, object]]:
    for _, members in read_tar(Path(tar)):
        yield {"jpg": members["jpg"], "txt": members["txt"].decode()}
