"""Describes a real corpus: page, card and Croissant file, read by the libraries they are for."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from tests.bounds import bounded
from wenlan_data.report.card import MARK
from wenlan_data.report.write_all import write_descriptions
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare
from wenlan_data.run.runner import build
from wenlan_data.testing import make_caption, make_image


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of a folder with a near-duplicate and an image that is too small."""
    root = tmp_path_factory.mktemp("built")
    photos = root / "photos"
    photos.mkdir()
    for number in range(4):
        (photos / f"{number}.jpg").write_bytes(make_image(number))
        (photos / f"{number}.txt").write_text(make_caption(number), "utf-8")
    with Image.open(photos / "0.jpg") as image:
        image.resize((240, 180)).save(photos / "copy.jpg", quality=90)
    (photos / "copy.txt").write_text("另一处的照片，同一只小猫", "utf-8")
    (photos / "small.jpg").write_bytes(make_image(8, width=80, height=60, quality=100))
    (photos / "small.txt").write_text(make_caption(8), "utf-8")
    options = BuildOptions(out=root / "corpus", workers=1, executor="local")
    build(prepare(options, [f"folder:{photos}"], None, (), ""))
    return root / "corpus"


@pytest.fixture
def corpus(built: Path, tmp_path: Path) -> Path:
    """A copy of the corpus that a test may change."""
    shutil.copytree(built, tmp_path / "corpus")
    return tmp_path / "corpus"


def test_a_build_ends_with_a_page_that_shows_duplicates_and_drops(built: Path) -> None:
    document = LexborHTMLParser((built / "report" / "index.html").read_text("utf-8"))
    group = document.css_first(".group")
    assert group is not None
    assert len(group.css("img")) == 2
    assert "另一处的照片，同一只小猫" in group.text()
    assert len(document.css(".drop .example img")) == 1


def test_a_second_build_leaves_the_page_as_it_is_and_writes_a_missing_one(corpus: Path) -> None:
    page = corpus / "report" / "index.html"
    before = page.stat().st_mtime_ns, page.read_bytes()
    write_descriptions(corpus, corpus / ".work")
    assert (page.stat().st_mtime_ns, page.read_bytes()) == before
    page.unlink()
    write_descriptions(corpus, corpus / ".work")
    assert page.read_bytes() == before[1]


def test_without_its_work_folder_a_corpus_still_has_a_page(corpus: Path) -> None:
    shutil.rmtree(corpus / ".work")
    (corpus / "report" / "index.html").unlink()
    write_descriptions(corpus, corpus / ".work")
    document = LexborHTMLParser((corpus / "report" / "index.html").read_text("utf-8"))
    assert len(document.css(".group img")) == 1
    assert len(document.css(".sample img")) == 4


def test_the_hub_reads_the_card(built: Path) -> None:
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(built / "README.md")
    data = card.data.to_dict()
    assert (data["language"], data["license"], data["size_categories"]) == (
        ["zh"],
        "other",
        ["n<1K"],
    )
    assert data["configs"][0]["data_files"] == [{"split": "train", "path": "shards/*.tar"}]
    assert "| dedupe | 1 | 4 | near_duplicate 1 |" in card.text


def test_the_card_has_each_heading_once(built: Path) -> None:
    headings = [
        line
        for line in (built / "README.md").read_text("utf-8").splitlines()
        if line.startswith("#")
    ]
    assert len(set(headings)) == len(headings) > 5


def test_an_owners_own_card_stays(corpus: Path) -> None:
    path = corpus / "README.md"
    own = path.read_text("utf-8").replace(MARK, "Mine.")
    path.write_text(own, "utf-8")
    (corpus / "report" / "index.html").unlink()
    write_descriptions(corpus, corpus / ".work")
    assert path.read_text("utf-8") == own


def test_croissant_is_valid_and_gives_the_samples(built: Path) -> None:
    import mlcroissant

    dataset = mlcroissant.Dataset(str(built / "croissant.json"))
    assert (set(dataset.metadata.issues.errors), set(dataset.metadata.issues.warnings)) == (
        set(),
        set(),
    )
    captions = {record["samples/caption"].decode() for record in dataset.records("samples")}
    assert captions == {make_caption(number) for number in range(4)}
    distribution = json.loads((built / "croissant.json").read_text("utf-8"))["distribution"]
    manifest = json.loads((built / "manifest.json").read_text("utf-8"))
    assert distribution[0]["sha256"] == manifest["shards"][0]["sha256"]


def test_the_datasets_library_loads_the_folder_by_its_card(built: Path, tmp_path: Path) -> None:
    import datasets

    rows = datasets.load_dataset(str(built), split="train", cache_dir=str(tmp_path))
    assert sorted(rows["txt"]) == sorted(make_caption(number) for number in range(4))


def test_neither_torch_nor_ray_is_loaded_for_the_page(built: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from wenlan_data.cli.main import cli\n"
        f"cli.main(['shards', 'html', {str(built)!r}, '--out', {str(tmp_path)!r}], standalone_mode=False)\n"
        "sys.exit(bool({'torch', 'ray', 'aiohttp', 'jieba'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path}/index.html: 4 of 4 samples\n"


def test_a_work_folder_of_a_stranger_shows_no_file_from_elsewhere(
    corpus: Path, tmp_path: Path
) -> None:
    private = tmp_path / "private.jpg"
    private.write_bytes(make_image(77))
    [results] = corpus.glob(".work/generations/*/fetch/*/facts.parquet")
    warc = results.with_name("images.warc")
    kept = warc.with_name("kept")
    warc.rename(kept)
    data = kept.read_bytes()
    # The same record, in a file outside of the corpus.
    private.write_bytes(data)
    warc.symlink_to(private)
    (corpus / "report" / "index.html").unlink()
    assert _drop_images(corpus) == 0
    warc.unlink()
    kept.rename(warc)
    assert _drop_images(corpus) == 1
    # Other types, and a small table that decodes to gigabytes.
    wrong = pa.table({"url_key": [1], "warc_offset": ["a"], "bytes": [1.5]})
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["x" * 100_000])
    whole = pa.table({"url_key": long, "warc_offset": [0] * 20_000, "bytes": [1] * 20_000})
    for table in (wrong, whole.replace_schema_metadata(None)):
        pq.write_table(table, results, compression="zstd", store_schema=False)
        with bounded(seconds=60, mib=400):
            assert _drop_images(corpus) == 0


def _drop_images(corpus: Path) -> int:
    """Writes the page again; returns the images that it shows of drops."""
    for path in (corpus / "report").glob("**/index.html"):
        path.unlink()
    write_descriptions(corpus, corpus / ".work")
    document = LexborHTMLParser((corpus / "report" / "index.html").read_text("utf-8"))
    return len(document.css(".drop .example img"))
