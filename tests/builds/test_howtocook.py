"""A real site of recipes, crawled from loopback, compared with its ground truth (TRUTH.json)."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
import yaml

from tests.builds.corpus_runs import build, drops
from wenlan_data.clean.chain import clean_texts
from wenlan_data.protocols import Rule
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Text

FOLDER = Path(__file__).parent.parent.parent.parent / "shared" / "data" / "howtocook-site"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="../shared/data/howtocook-site is not there"
)


class _Handler(SimpleHTTPRequestHandler):
    log: list[str]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.log.append(unquote(self.path.removeprefix("/")))
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Crawled:
    """Ground truth, requests of the crawl, and rows of the corpus."""

    truth: dict[str, object]
    requests: Counter[str]
    samples: list[dict[str, object]]
    drops: list[dict[str, object]]
    result: dict[str, object]

    def pages(self, *, allowed: bool) -> list[dict[str, object]]:
        """Returns the pages that robots.txt allows, or forbids."""
        pages = self.truth["pages"]
        assert isinstance(pages, list)
        return [page for page in pages if page["robots_allowed"] is allowed]

    def images(self) -> dict[str, list[dict[str, object]]]:
        """Returns SHA-256 to the places of the image in allowed pages, with the page."""
        found: dict[str, list[dict[str, object]]] = {}
        for page in self.pages(allowed=True):
            images = page["images"]
            assert isinstance(images, list)
            for image in images:
                found.setdefault(image["sha256"], []).append({**image, "page": page})
        return found


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Crawled:
    folder = tmp_path_factory.mktemp("howtocook")
    log: list[str] = []
    handler = type("Handler", (_Handler,), {"log": log})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(FOLDER))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_address[1]}"
        sources = {
            "network": {"allow": [host]},
            "hosts": {host: {"min_gap_s": 0}},
            "sources": [{"kind": "pages", "seeds": [f"http://{host}/index.html"]}],
        }
        (folder / "sources.yaml").write_text(yaml.safe_dump(sources), "utf-8")
        words = ["--sources", folder / "sources.yaml", "--executor", "local", "--workers", "2"]
        result = build(*words, "--out", folder / "corpus")
        again = build(*words, "--out", folder / "corpus")
        server.shutdown()
    assert again["generations"] == []
    samples = [
        row
        for path in sorted((folder / "corpus/metadata").iterdir())
        for row in pq.read_table(path).to_pylist()
    ]
    truth = json.loads((FOLDER / "TRUTH.json").read_text("utf-8"))
    return Crawled(truth, Counter(log), samples, drops(folder / "corpus"), result)


def _path(url: object) -> str:
    return unquote(str(url).partition("://")[2].partition("/")[2])


def test_every_allowed_page_is_fetched_once_and_no_forbidden_one(crawled: Crawled) -> None:
    allowed = [str(page["path"]) for page in crawled.pages(allowed=True)]
    assert len(allowed) == 168
    assert {path: crawled.requests[path] for path in allowed} == dict.fromkeys(allowed, 1)
    assert [path for path in crawled.requests if path.startswith("condiment/")] == []
    assert max(crawled.requests.values()) == 1
    assert crawled.requests["robots.txt"] == 1
    assert crawled.result["pages"] == {"read": 168, "robots": 10}


def test_nearly_every_image_becomes_a_sample_and_the_others_have_a_reason(
    crawled: Crawled,
) -> None:
    expected = crawled.images()
    found = {str(row["sha256"]) for row in crawled.samples}
    assert len(expected) == 142
    assert found <= set(expected), "no small copy, no blank"
    assert len(found) >= 0.95 * len(expected)
    left = {place["path"] for digest in set(expected) - found for place in expected[digest]}
    assert left <= {_path(row["url"]) for row in crawled.drops if row["reason"]}


def test_captions_are_alternative_texts_or_stand_by_the_image_and_name_the_dish(
    crawled: Crawled,
) -> None:
    places, wrong = crawled.images(), []
    for row in crawled.samples:
        here = places[str(row["sha256"])]
        alts = {_cleaned(place, "alt") for place in here}
        dish = [_dish(place) for place in here]
        near = " ".join(
            str(place[name]) for place in here for name in ("nearby", "text_before", "text_after")
        )
        stands_by = str(row["caption"])[:20] in near and any(
            name in str(row["caption"]) for name in dish
        )
        if row["caption"] not in alts and not stands_by:
            wrong.append((row["image_url"], row["caption"], alts))
    assert len(wrong) <= 0.03 * len(crawled.samples), wrong


@cache
def _rules() -> list[Rule]:
    return [spec.load() for spec in load_recipe("wenlan").text.rules]


def _cleaned(place: dict[str, object], name: str) -> str:
    """Returns the alternative text after the recipe's rules; empty if they reject it."""
    cleaned = clean_texts(_rules(), (Text("alt", str(place[name])),))
    return cleaned.texts[0].text if cleaned.texts else ""


def _dish(place: dict[str, object]) -> str:
    page = place["page"]
    assert isinstance(page, dict)
    return str(page.get("title_hans", page["title"])).removesuffix("的做法")


def test_gb18030_pages_have_no_wrong_character_and_traditional_ones_come_out_simplified(
    crawled: Crawled,
) -> None:
    for special, name in (("gb18030", "alt"), ("hant", "alt_hans")):
        pages = [
            page
            for page in crawled.pages(allowed=True)
            if special in list(page.get("special") or [])  # type: ignore[call-overload]
        ]
        assert pages
        for page in pages:
            rows = {
                _path(row["image_url"]): row
                for row in crawled.samples
                if _path(row["page_url"]) == page["path"]
            }
            images = page["images"]
            assert isinstance(images, list)
            for image in images:
                texts = rows[image["path"]]["texts"]
                assert isinstance(texts, list)
                assert "\ufffd" not in str(texts)
                alt = _cleaned(image, name)
                assert not alt or ("alt", alt) in {(one["type"], one["text"]) for one in texts}
