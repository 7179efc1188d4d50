"""What a run reports about its data, and about its speed."""

import io
import re
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.load.corpora import sample
from tests.train.runs import corpus, trained
from wenlan_data.errors import UsageError
from wenlan_data.model.checkpoint import checkpoint_step, list_checkpoints, save_checkpoint
from wenlan_data.shard.manifest import load_manifest
from wenlan_data.testing import make_caption, make_image, write_corpus
from wenlan_data.train.host_copy import HostCopy
from wenlan_data.train.run_log import read_log

CLIP = ("objective=clip", "negatives={queue: 0, batch: true}")


def test_without_negatives_nothing_is_learned_and_the_run_ends(tmp_path: Path) -> None:
    page = _corpus_of_pages(tmp_path / "page", [0] * 16)
    with pytest.raises(UsageError, match="no sample is a negative of another one"):
        trained(page, tmp_path / "clip", *CLIP, "max_steps=2")
    # The first step of an empty queue has none, and none could be.
    with pytest.raises(UsageError, match="step 2: no sample is a negative"):
        trained(page, tmp_path / "brivl", "negatives.batch=false", "max_steps=3")
    assert checkpoint_step(list_checkpoints(tmp_path / "brivl")[-1]) == 2
    assert trained(page, tmp_path / "id", *CLIP, "negatives.mask=[id]", "max_steps=1").step == 1


def test_few_negatives_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pages = _corpus_of_pages(tmp_path / "pages", [0] * 13 + [1, 2, 3])
    trained(pages, tmp_path / "run", *CLIP, "max_steps=2", "batch_size=16")
    shown = capsys.readouterr().err
    assert shown.count("of the other samples are negatives") == 1
    figures = [
        cast("dict[str, float]", entry["figures"])
        for entry in read_log(tmp_path / "run")
        if entry["kind"] == "step"
    ]
    # 13 x 3 + 3 x 15 of 16 x 15.
    assert [one["negatives"] for one in figures] == pytest.approx([84 / 16] * 2)
    assert figures[0]["negatives_share"] == pytest.approx(84 / 240)


def _figures(run: Path) -> list[dict[str, float]]:
    steps = (entry for entry in read_log(run) if entry["kind"] == "step")
    return [cast("dict[str, float]", entry["figures"]) for entry in steps]


def _corpus_of_pages(path: Path, pages: list[int]) -> Path:
    samples = [
        replace(
            sample(number, image=make_image(number, width=32, height=32)),
            caption=make_caption(number),
            page_url=f"http://a.test/{page}.html",
            width=32,
            height=32,
        )
        for number, page in enumerate(pages)
    ]
    write_corpus(path, [samples])
    [shard] = load_manifest(path).shards
    (path / "metadata").mkdir()
    table = {"key": [one.key for one in samples], "page_url": [one.page_url for one in samples]}
    pq.write_table(pa.table(table), path / "metadata" / shard.metadata.name)
    return path


def test_what_the_data_lack_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tar = tmp_path / "a.tar"
    with tarfile.open(tar, "w") as file:
        for number in range(30):
            image = b"no image" if number == 7 else make_image(number, width=32, height=32)
            for name, data in (("jpg", image), ("txt", (make_caption(number) * 20).encode())):
                entry = tarfile.TarInfo(f"{number:04d}.{name}")
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
    trained(tar, tmp_path / "run", "max_steps=9")
    shown = capsys.readouterr().err
    assert shown.count("cannot be used and were replaced") == 1
    assert "a.tar: 0007: " in shown
    entries = [
        cast("dict[str, float]", entry["figures"])
        for entry in read_log(tmp_path / "run")
        if entry["kind"] == "step"
    ]
    assert sum(one["bad"] for one in entries[:4]) == 1
    # One in the place of the bad sample, and two to fill the last of four batches of 8.
    assert sum(one["repeated"] for one in entries[:4]) == 3
    assert sum(one["texts_cut"] for one in entries[:4]) >= 30
    assert re.search(r"epoch 0: 1 samples that cannot be used, 3 rows repeated .* truncated", shown)


class _Clock:
    """Seconds that pass only where a test lets them."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.mark.parametrize("background", ["true", "false"])
def test_the_rate_counts_no_checkpoint_and_no_copy_of_one(
    background: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, calls = _Clock(), Counter[str]()

    def slow(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any) -> Any:
            calls[name] += 1
            # What is written in the background takes no time of the steps beside it.
            clock.now_s += 100 if name == "copy" or background == "false" else 0
            return call(*arguments)

        return wrapper

    monkeypatch.setattr("wenlan_data.train.run_log.time", clock)
    monkeypatch.setattr(
        "wenlan_data.train.checkpoint_writer.save_checkpoint", slow("save", save_checkpoint)
    )
    monkeypatch.setattr(HostCopy, "copy", slow("copy", HostCopy.copy))
    trained(
        corpus(tmp_path / "corpus"), tmp_path / "run", "max_steps=5", "checkpoints.every_steps=2",
        f"checkpoints.background={background}",
    )  # fmt: skip
    took = [entry["took_s"] for entry in read_log(tmp_path / "run") if entry["kind"] == "step"]
    assert took == [0.0] * 5
    assert calls == {"save": 3} | ({"copy": 2} if background == "true" else {})
