"""`wenlan-data extract` on files and on a server of its own."""

import json
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
    image = tmp_path / "a.jpg"
    image.write_bytes(make_image(1))
    with pytest.raises(WenlanError, match="cannot be read: bad_encoding"):
        _run(image)
    (tmp_path / "large.html").write_bytes(b"x" * ((10 << 20) + 1))
    with pytest.raises(UsageError, match="larger than 10 MiB"):
        _run(tmp_path / "large.html")
    with pytest.raises(RecipeError, match="nothing"):
        _run(tmp_path / "a.jpg", "--recipe", "nothing")


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
