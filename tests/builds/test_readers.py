"""Common libraries read a corpus with equal counts, keys and texts."""

import os
import tarfile
from pathlib import Path

import pytest
import webdataset

from tests.builds.corpus_runs import build
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
