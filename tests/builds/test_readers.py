"""Common libraries read a corpus with equal counts, keys and texts."""

import json
import os
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset

from tests.builds.corpus_runs import build, command
from wenlan_data.testing import make_caption, make_image

COUNT = 40


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readers")
    photos = folder / "photos"
    photos.mkdir()
    for number in range(COUNT):
        (photos / f"{number}.jpg").write_bytes(make_image(number))
        (photos / f"{number}.txt").write_text(f"{make_caption(number)}，“引号”与—破折号", "utf-8")
    build("--sources", f"folder:{photos}", "--out", folder / "corpus", "--executor", "local",
          "--set", "shard.max_samples=15")  # fmt: skip
    return folder / "corpus"


def _by_tarfile(corpus: Path) -> dict[str, str]:
    texts = {}
    for path in sorted((corpus / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                stem, _, extension = member.name.partition(".")
                if extension == "txt":
                    data = tar.extractfile(member)
                    assert data is not None
                    texts[stem] = data.read().decode("utf-8")
    return texts


def test_tarfile_finds_every_caption(corpus: Path) -> None:
    expected = {f"{make_caption(number)}，“引号”与—破折号" for number in range(COUNT)}
    texts = _by_tarfile(corpus)
    assert len(texts) == COUNT
    assert set(texts.values()) == expected


def test_webdataset_reads_the_same(corpus: Path) -> None:
    shards = [str(path) for path in sorted((corpus / "shards").glob("*.tar"))]
    samples = (
        webdataset.WebDataset(shards, shardshuffle=False)
        .decode("pil")
        .to_tuple("__key__", "txt", "jpg", "json")
    )
    found = {key: (text, image.size, fields["width"]) for key, text, image, fields in samples}
    assert {key: text for key, (text, _, _) in found.items()} == _by_tarfile(corpus)
    assert all(size[0] == width for _, size, width in found.values())


def test_the_datasets_library_reads_the_same(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    import datasets

    files = [str(path) for path in sorted((corpus / "shards").glob("*.tar"))]
    rows = datasets.load_dataset(
        "webdataset", data_files=files, split="train", cache_dir=str(tmp_path)
    )
    assert dict(zip(rows["__key__"], rows["txt"], strict=True)) == _by_tarfile(corpus)


def test_our_own_readers_accept_whatever_was_built(tmp_path: Path) -> None:
    """An image with thousands of texts, in one row and in many, and captions of a megabyte."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(70):
        (photos / f"{number}.jpg").write_bytes(make_image(number))
        (photos / f"{number}.txt").write_text(f"{number:0>1000000}，{make_caption(1)}", "utf-8")
    one_row = {"image_id": "1.jpg", "sentences": [f"{make_caption(1)}{n}" for n in range(5000)]}
    many_rows = [{"image_id": "2.jpg", "sentences": [f"{make_caption(2)}{n}"]} for n in range(5000)]
    records = "\n".join(json.dumps(row) for row in [one_row, *many_rows])
    (photos / "records.jsonl").write_text(records, "utf-8")
    (tmp_path / "r.yaml").write_text("name: all\ndetect: {detector: grid, cells: 2}\n", "utf-8")
    words = (f"folder:{photos}", f"brivl:{photos}/records.jsonl", "--recipe", tmp_path / "r.yaml",
             "--out", tmp_path / "corpus", "--executor", "local")  # fmt: skip
    built = build(*words)
    assert built["samples"] == 70
    assert build(*words)["samples"] == 70
    for command_words in (
        ("shards", "verify", tmp_path / "corpus"),
        ("shards", "stat", tmp_path / "corpus"),
        ("shards", "html", tmp_path / "corpus", "--out", tmp_path / "html"),
    ):
        done = command(*command_words)
        assert done.returncode == 0, done.stderr
    [table] = (tmp_path / "corpus" / "metadata").iterdir()
    counts = sorted(len(row) for row in pq.read_table(table)["texts"].to_pylist())
    assert counts == [*[1] * 69, 4096]
    [table] = (tmp_path / "corpus" / "drops").iterdir()
    drops = pq.read_table(table).to_pylist()
    assert [row["detail"] for row in drops if row["reason"] == "bad_row"] == [
        "5000 texts, more than 1000"
    ]
    assert sum(row["reason"] == "duplicate" for row in drops) == 5000
