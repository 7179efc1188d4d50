"""Names and passwords in URLs are published nowhere: not in drops, metadata, report, messages, WARC
records or progress."""

import gzip
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from tests.builds.corpus_runs import command, drops
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image
from wenlan_data.web.warc import PayloadWriter

SECRETS = ("s3cret-user", "s3cret-word")
AUTHORITY = ":".join(SECRETS)
HTML = {"Content-Type": "text/html; charset=utf-8"}


def _at(site: Site, path: str) -> str:
    return f"http://{AUTHORITY}@{site.host}{path}"


def _site(site: Site) -> None:
    images = "".join(
        f'<p><img src="{url}" alt="{make_caption(n)}"></p>'
        for n, url in enumerate([_at(site, "/1.jpg"), "/2.jpg", f"//{AUTHORITY}@{site.host}/3.jpg"])
    )
    links = f"<a href='{_at(site, '/b.html')}'>下一页</a><a href='/moved.html'>下一页</a>"
    site.responses |= {
        "/a.html": CannedResponse(f"<title>一</title>{links}{images}".encode(), headers=HTML),
        "/b.html": CannedResponse(b"<title>2</title>", headers=HTML),
        "/moved.html": CannedResponse(b"", 302, {"Location": _at(site, "/b.html")}),
        "/4.jpg": CannedResponse(b"", 302, {"Location": _at(site, "/2.jpg")}),
        "/robots.txt": CannedResponse(
            f"Sitemap: {_at(site, '/s.xml')}\nSitemap: {site.url('/t.xml')}\n".encode()
        ),
        "/t.xml": CannedResponse(
            f"<urlset><url><loc>{_at(site, '/c.html')}</loc></url></urlset>".encode(),
            headers={"Content-Type": "text/xml"},
        ),
    }
    for n in (1, 2, 3, 5, 6):
        site.responses[f"/{n}.jpg"] = CannedResponse(make_image(n))


def _warc(path: Path, site: Site) -> None:
    image = make_image(7)
    page = f'<p><img src="/7.jpg" alt="{make_caption(7)}"></p>'.encode()
    with PayloadWriter(path) as writer:
        for url, kind, body in (
            (_at(site, "/page.html"), "text/html", page),
            (_at(site, "/7.jpg"), "image/jpeg", image),
        ):
            writer.response(
                url, body, status="200 OK", headers=[("Content-Type", kind)],
                sha256=hashlib.sha256(body).hexdigest(), ip="192.0.2.1", date=datetime.now(UTC),
            )  # fmt: skip


def _sources(folder: Path, site: Site) -> Path:
    rows = [
        (_at(site, "/5.jpg"), "", make_caption(5)),
        (site.url("/6.jpg"), _at(site, "/page.html"), make_caption(6)),
        (site.url("/4.jpg"), "", make_caption(4)),
        (f"ftp://{AUTHORITY}@{site.host}/x.jpg", "", make_caption(8)),
        (f"http://{SECRETS[0]}:{SECRETS[1]}/x@{site.host}/y.jpg", "", make_caption(9)),
    ]
    lines = ["url,page_url,text", *(",".join(row) for row in rows)]
    (folder / "urls.csv").write_text("\n".join(lines) + "\n", "utf-8")
    _warc(folder / "given.warc", site)
    value = {
        "network": {"allow": [site.host]},
        "hosts": {site.host: {"min_gap_s": 0}},
        "sources": [
            {"kind": "pages", "seeds": [site.url("/a.html")]},
            {"kind": "table", "path": "urls.csv"},
            {"kind": "warc", "path": "given.warc"},
        ],
    }
    (folder / "sources.yaml").write_text(yaml.safe_dump(value), "utf-8")
    return folder / "sources.yaml"


def _readable(path: Path) -> bytes:
    """The content of a file, of a Parquet table with its columns unpacked."""
    if path.suffix == ".parquet":
        return repr(pq.read_table(path).to_pylist()).encode()
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def test_hostile_user_information_is_published_nowhere(tmp_path: Path, site: Site) -> None:
    _site(site)
    out = tmp_path / "corpus"
    words = ["--sources", _sources(tmp_path, site), "--executor", "local", "--out"]
    done = command("build", *words, out, "--set", "image.min_bytes=0", "--json")
    assert done.returncode == 0, done.stderr
    again = command("build", "--from", out, "--out", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    for printed in (done.stdout, done.stderr, again.stderr):
        assert not any(secret in printed for secret in SECRETS)
    leaks = [
        str(path.relative_to(tmp_path))
        for folder in (out, tmp_path / "again")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(secret.encode() in _readable(path) for secret in SECRETS)
    ]
    # Pages, and robots.txt in the state of its host, are kept as they came, in the work folder.
    assert {Path(leak).name for leak in leaks} <= {
        "pages.warc", "hosts.json", "states.json", "states-00000.json", "receipt.json",
    }  # fmt: skip
    assert all(".work" in leak for leak in leaks)
    text = b"".join(path.read_bytes() for path in out.rglob("pages.warc"))
    heads = [line for line in text.split(b"\r\n") if line.startswith(b"WARC-Target-URI")]
    assert heads
    assert not any(SECRETS[0].encode() in line for line in heads)
    refused = {str(row["url"]): row["reason"] for row in drops(out)}
    assert refused[site.url("/5.jpg")] == "bad_url"
    assert refused[site.url("/1.jpg")] == "bad_url"
    assert refused[site.url("/4.jpg")] == "bad_url"
    assert not {"/5.jpg", "/1.jpg", "/3.jpg", "/c.html", "/s.xml"} & set(site.log)
    assert set(site.log) >= {"/2.jpg", "/6.jpg"}


def test_hostile_user_information_is_in_no_message(tmp_path: Path) -> None:
    url = f"http://{AUTHORITY}@a.cn/"
    for words in (
        ("build", "--sources", f"pages:{url}", "--out", tmp_path / "a"),
        ("build", "--sources", url, "--out", tmp_path / "b"),
        ("build", "--sources", f"pages:{url}", "--out", tmp_path / "c", "--dry-run"),
        ("extract", url),
    ):
        done = command(*words)
        assert done.returncode in {2, 4}, done.stderr
        assert not any(secret in done.stdout + done.stderr for secret in SECRETS), done.stderr
