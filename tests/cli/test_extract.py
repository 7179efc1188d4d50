"""`wenlan-data extract` on files and on a server of its own."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wenlan_data.cli.main import cli
from wenlan_data.errors import RecipeError, UsageError, WenlanError
from wenlan_data.testing import CannedResponse, Site, make_image

PAGE = (
    "<title>小城的春天</title><img src=logo.png class=site-logo><h1>小城的春天来了</h1>"
    "<figure><img src=1.jpg alt=IMG_0001.JPG><figcaption>湖边停着的小船</figcaption></figure>"
    "<p>版权所有</p>"
)
HTML = {"Content-Type": "text/html; charset=gbk"}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "小城.html"
    path.write_text(PAGE, "utf-8")
    return path


def _run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["extract", *map(str, words)], catch_exceptions=False)


def _json(*words: str | Path) -> dict[str, object]:
    done = _run(*words, "--json")
    assert done.exit_code == 0
    value: dict[str, object] = json.loads(done.stdout)
    return value


def _images(*words: str | Path) -> list[dict[str, object]]:
    images = _json(*words)["images"]
    assert isinstance(images, list)
    return images


def _serve(site: Site, path: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    site.responses[path] = CannedResponse(body, headers=headers or HTML)


def test_each_image_is_printed_with_its_texts_and_why_they_are_chosen(page: Path) -> None:
    done = _run(page, "--url", "http://site.example/a/1.html")
    assert done.exit_code == 0
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[:2] == ["http://site.example/a/1.html", "2 images, 1 with a caption, 3 blocks"]
    for line in (
        "image 1 http://site.example/a/logo.png",
        "no content, logo: site-logo",
        "image 2 http://site.example/a/1.jpg",
        "alt attribute 0.90 rejected: file_name IMG_0001.JPG",
        "figcaption figcaption 0.95 caption 湖边停着的小船",
        "below boilerplate 版权所有",
    ):
        assert line in lines, done.stdout
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


def test_json_holds_the_same(page: Path) -> None:
    value = _json(page, "--url", "http://site.example/a/1.html")
    assert list(value) == ["url", "soft_error", "images", "blocks", "ignored", "drops"]
    logo, boat = _images(page, "--url", "http://site.example/a/1.html")
    assert (logo["content"], logo["reason"], logo["detail"]) == (False, "logo", "site-logo")
    assert (boat["caption"], boat["caption_type"]) == ("湖边停着的小船", "figcaption")


def test_a_file_without_a_url_gets_a_name_that_no_host_has(page: Path) -> None:
    done = _run(page, "--json")
    assert json.loads(done.stdout)["images"][1]["url"] == "http://page.invalid/1.jpg"
    assert "the URL of this page is unknown: give it with --url" in _run(page).stderr


def test_the_encoding_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "gbk.html"
    path.write_bytes(PAGE.encode("gbk"))
    assert _images(path)[1]["caption"] == "湖边停着的小船"


def test_the_recipe_and_its_overrides_are_applied(page: Path) -> None:
    images = _images(page, "--recipe", "wukong", "--set", "text.caption=[heading]")
    assert images[1]["caption"] == "小城的春天来了"


def test_html_is_printed_or_written(page: Path, tmp_path: Path) -> None:
    printed = _run(page, "--html")
    assert printed.stdout.startswith("<!doctype html>")
    assert "湖边停着的小船" in printed.stdout
    out = tmp_path / "page.html"
    done = _run(page, "--html", "--out", out)
    assert done.stdout == f"{out}: 2 images, 3 blocks of text\n"
    assert out.read_bytes() == printed.stdout_bytes.rstrip(b"\n")
    with pytest.raises(UsageError, match="did not write it"):
        _run(page, "--html", "--out", page)
    assert page.read_text("utf-8") == PAGE


def test_the_terminal_does_not_act_on_a_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    hostile = "湖边\x1b[31m的\u202e小船[bold red]上的人[/bold red]"
    path.write_text(
        f"<title>{hostile}</title><img src=1.jpg?\x1b alt='{hostile}'>"
        f"<x{hostile}><img src=2.jpg><p>{hostile}</x{hostile}>",
        "utf-8",
    )
    for words in ((), ("--json",)):
        out = _run(path, *words).stdout
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert "[bold red]" in _run(path).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--html", "--json"], "leave one out"),
        (["--out", "x.html"], "add --html"),
        (["--url", "ftp://a.cn/"], "not the URL of a page"),
    ],
)
def test_options_that_do_not_fit_are_named(page: Path, words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _run(page, *words)


def test_a_page_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none.html", "no such file"), (tmp_path, "not a file")):
        with pytest.raises(UsageError, match=message):
            _run(path)
    (tmp_path / "large.html").write_bytes(b"x" * ((10 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 10 MiB"):
        _run(tmp_path / "large.html")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (make_image(1), "jpeg"),
        (make_image(1, kind="PNG"), "png"),
        (gzip.compress(PAGE.encode()), "gzip"),
        (b"%PDF-1.7\n<</Type/Catalog>>", "pdf"),
        (b'{"html": "<p>a</p>"}', "json"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><path/></svg>\n", "svg"),
        (random.Random(0).randbytes(5_000), "no character encoding decodes it"),
        ("湖边的小船 < 山上的小路".encode(), "no elements"),
    ],
)
def test_a_file_that_is_no_html_page_is_refused(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"page\.html: not an HTML page \({kind}\)$"):
        _run(path)


def test_a_url_that_is_no_html_page_is_refused_in_the_same_way(site: Site) -> None:
    _serve(site, "/1.jpg", make_image(1), {"Content-Type": "image/jpeg"})
    with pytest.raises(UsageError, match=r"1\.jpg: not an HTML page \(image/jpeg\)$"):
        _run(site.url("/1.jpg"), "--allow", site.host)
    _serve(site, "/2.html", random.Random(0).randbytes(5_000))
    with pytest.raises(UsageError, match=r"2\.html: not an HTML page \(no character"):
        _run(site.url("/2.html"), "--allow", site.host)


@pytest.mark.parametrize(
    ("content", "images"),
    [
        (b"", 0),
        (b" \r\n", 0),
        ("<p>湖边的小船".encode("utf-16"), 0),
        ("<p>湖边的小船<img src=1.jpg>".encode("utf-16-be"), 1),
        ("{{ 标题 }}<img src=1.jpg>".encode(), 1),
        (b"<svg><path/></svg><img src=1.jpg>", 1),
        ("湖边的小船<img src=1.jpg>".encode("gbk"), 1),
    ],
)
def test_a_part_of_a_page_and_an_empty_file_are_pages(
    tmp_path: Path, content: bytes, images: int
) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(content)
    assert len(_images(path)) == images


def test_standard_input_is_a_page_too() -> None:
    done = CliRunner().invoke(
        cli, ["extract", "-", "--url", "http://site.example/a/", "--json"], input=PAGE.encode("gbk")
    )
    assert json.loads(done.stdout)["images"][1]["url"] == "http://site.example/a/1.jpg"
    done = CliRunner().invoke(cli, ["extract", "-"], input=make_image(1))
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == "standard input: not an HTML page (jpeg)"


@pytest.mark.parametrize("name", ["ftp://x.cn/a", "file:///etc/passwd", "data://x"])
def test_another_scheme_is_named_with_the_url_as_written(name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: {name.partition('//')[0]}// is not supported"):
        _run(name)


def test_the_missing_folder_of_out_is_named(page: Path, tmp_path: Path) -> None:
    out = tmp_path / "none" / "x.html"
    with pytest.raises(UsageError, match=f"^{out.parent}: no such folder"):
        _run(page, "--html", "--out", out)


def test_errors_of_a_recipe_name_what_is_wrong(page: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="recipe 'nothing' is not known"):
        _run(page, "--recipe", "nothing")
    with pytest.raises(RecipeError, match=r"小城\.html: not a \.yaml file: give a recipe in YAML"):
        _run(page, "--recipe", page)
    with pytest.raises(RecipeError, match=r"^--set text\.min_confidence=2: text\.min_confidence: "):
        _run(page, "--set", "image.min_side_px=3", "--set", "text.min_confidence=2")
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\ntext: {min_confidence: 2}\n")
    with pytest.raises(RecipeError, match=rf"^{mine}: text\.min_confidence: "):
        _run(page, "--recipe", mine, "--set", "image.min_side_px=3")


def test_the_other_copies_of_an_image_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<img src=s.jpg srcset='m.jpg 600w, l.jpg 900w'><p>湖边的小船", "utf-8")
    url = ("--url", "http://site.example/a/")
    lines = [line.strip() for line in _run(path, *url).stdout.splitlines()]
    first = lines.index("image 1  http://site.example/a/l.jpg")
    assert lines[first + 1 : first + 3] == [
        "or http://site.example/a/m.jpg",
        "or http://site.example/a/s.jpg",
    ]
    html = _run(path, *url, "--html").stdout
    assert html.index("a/l.jpg") < html.index("a/m.jpg") < html.index("a/s.jpg")
    path.write_text("<img src=s.jpg><p>湖边的小船", "utf-8")
    assert not any(line.startswith("  or ") for line in _run(path, *url).stdout.splitlines())


@pytest.mark.parametrize(
    "words", [["none.html"], ["http://site.example/"], ["--html", "--json", "x"]]
)
def test_a_wrong_use_exits_with_2_and_one_line(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wenlan_data", "extract", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_url_is_fetched_by_the_rules_of_a_build(site: Site) -> None:
    _serve(site, "/a/1.html", PAGE.encode("gbk"))
    value = _json(site.url("/a/1.html"), "--allow", site.host)
    assert value["url"] == site.url("/a/1.html")
    assert value["blocks"]
    assert site.log == ["/robots.txt", "/.well-known/tdmrep.json", "/a/1.html"]


def test_a_host_that_is_not_allowed_is_not_requested(site: Site) -> None:
    with pytest.raises(UsageError, match=f"add --allow {site.host}"):
        _run(site.url("/"), "--contact", "you@example.org")
    with pytest.raises(UsageError, match="without a contact"):
        _run("http://site.example/")
    with pytest.raises(UsageError, match="not the URL of a page"):
        _run("http://user@site.example/")
    with pytest.raises(UsageError, match="--url is for a file"):
        _run("http://site.example/", "--url", "http://b.example/")
    assert site.log == []


def test_robots_txt_is_obeyed(site: Site) -> None:
    _serve(site, "/robots.txt", b"User-agent: *\nDisallow: /", {"Content-Type": "text/plain"})
    _serve(site, "/1.html", PAGE.encode("gbk"))
    with pytest.raises(WenlanError, match="robots"):
        _run(site.url("/1.html"), "--allow", site.host)
    assert site.log == ["/robots.txt"]


def test_opt_outs_of_the_response_count(site: Site) -> None:
    _serve(site, "/1.html", PAGE.encode("gbk"), {**HTML, "X-Robots-Tag": "noai"})
    images = _images(site.url("/1.html"), "--allow", site.host)
    assert {one["reason"] for one in images} == {"opt_out"}


def test_a_redirect_is_followed_with_a_contact_only(site: Site) -> None:
    target = site.url("/2.html")
    site.responses["/1.html"] = CannedResponse(status=302, headers={"Location": "/2.html"})
    _serve(site, "/2.html", PAGE.encode("gbk"))
    with pytest.raises(UsageError, match=r"redirects to /2\.html"):
        _run(site.url("/1.html"), "--allow", site.host)
    value = _json(site.url("/1.html"), "--allow", site.host, "--contact", "you@example.org")
    assert value["url"] == target


def test_a_redirect_to_a_private_address_is_not_followed(site: Site) -> None:
    with Site() as other:
        headers = {"Location": other.url("/2.html")}
        site.responses["/1.html"] = CannedResponse(status=302, headers=headers)
        with pytest.raises(WenlanError, match=r"(?:port|address) \("):
            _run(site.url("/1.html"), "--allow", site.host, "--contact", "you@example.org")
        assert other.log == []


def test_what_is_no_page_is_named(site: Site) -> None:
    _serve(site, "/a.jpg", make_image(1), {"Content-Type": "image/jpeg"})
    with pytest.raises(UsageError, match="not an HTML page"):
        _run(site.url("/a.jpg"), "--allow", site.host)
    with pytest.raises(WenlanError, match="http_status"):
        _run(site.url("/none.html"), "--allow", site.host)
