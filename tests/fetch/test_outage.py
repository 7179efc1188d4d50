"""A resolver that is down for a while: no URL is lost, the build reports it, and all URLs are
fetched later."""

import socket
from pathlib import Path

import pytest
import yaml

from tests.builds.corpus_runs import captions, drops, table
from wenlan_data.errors import FailureBudgetError
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare
from wenlan_data.run.runner import BuildResult
from wenlan_data.run.runner import build as run_build
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image

HOSTS = 24
HTML = {"Content-Type": "text/html; charset=utf-8"}
DOWN = (
    "100% of 24 host names do not resolve: check your resolver; "
    "these URLs are not lost, --retry-failed requests them again"
)


class Outage:
    """The system's resolver for names below `.test`: all at 127.0.0.1, but for the first `failures`
    looks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: float) -> None:
        self.failures = failures
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: str, *words: object, **named: object) -> object:
        if not str(host).endswith(".test"):
            return self._real(host, *words, **named)  # type: ignore[arg-type]
        self.failures -= 1
        if self.failures >= 0:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self._real("127.0.0.1", *words, **named)  # type: ignore[arg-type]


def _names(site: Site) -> list[str]:
    port = site.host.rpartition(":")[2]
    return [f"h{n}.test:{port}" for n in range(HOSTS)]


def _sources(folder: Path, site: Site, source: dict[str, object]) -> Path:
    value = {
        "network": {"allow": _names(site)},
        "hosts": {name: {"min_gap_s": 0} for name in _names(site)},
        "limits": {"backoff_s": 0.01},
        "sources": [source],
    }
    (folder / "s.yaml").write_text(yaml.safe_dump(value), "utf-8")
    return folder / "s.yaml"


def _build(folder: Path, sources: Path, *, retry: bool = False) -> BuildResult:
    chosen = BuildOptions(out=folder / "corpus", workers=1, executor="local", retry_failed=retry)
    return run_build(prepare(chosen, [str(sources)], None, (), ""))


def _images(folder: Path, site: Site) -> Path:
    site.responses |= {f"/{n}.jpg": CannedResponse(make_image(n)) for n in range(HOSTS)}
    table(
        folder / "a.parquet",
        [(f"http://{name}/{n}.jpg", make_caption(n)) for n, name in enumerate(_names(site))],
    )
    return _sources(folder, site, {"kind": "table", "path": "a.parquet"})


def test_no_image_is_closed_for_good_while_no_name_resolves(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = _images(tmp_path, site)
    outage = Outage(monkeypatch, failures=float("inf"))
    assert _build(tmp_path, sources).samples == 0
    assert DOWN in " ".join(capsys.readouterr().err.split())
    failed = drops(tmp_path / "corpus")
    assert {(row["reason"], row["detail"], row["retryable"]) for row in failed} == {
        ("robots_unavailable", "dns", True)
    }
    assert _build(tmp_path, sources, retry=True).samples == 0
    assert site.log == []
    outage.failures = 0
    assert _build(tmp_path, sources, retry=True).samples == HOSTS
    assert set(captions(tmp_path / "corpus")) == {make_caption(n) for n in range(HOSTS)}


def test_a_resolver_that_comes_back_soon_costs_nothing(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = _images(tmp_path, site)
    Outage(monkeypatch, failures=HOSTS)
    assert _build(tmp_path, sources).samples == HOSTS


def test_no_page_is_closed_for_good_while_no_name_resolves(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(HOSTS):
        body = f'<a href="/{n}-2.html">下一页</a><img src="/{n}.jpg" alt="{make_caption(n)}">'
        site.responses[f"/{n}.html"] = CannedResponse(body.encode(), headers=HTML)
        site.responses[f"/{n}-2.html"] = CannedResponse(b"<title>2</title>", headers=HTML)
        site.responses[f"/{n}.jpg"] = CannedResponse(make_image(n))
    seeds = [f"http://{name}/{n}.html" for n, name in enumerate(_names(site))]
    sources = _sources(tmp_path, site, {"kind": "pages", "seeds": seeds})
    outage = Outage(monkeypatch, failures=float("inf"))
    with pytest.raises(FailureBudgetError, match="24 of 24 pages failed transiently"):
        _build(tmp_path, sources)
    printed = " ".join(capsys.readouterr().err.split())
    assert DOWN in printed
    assert "24 pages failed transiently: --retry-failed requests them again" in printed
    outage.failures = 0
    result = _build(tmp_path, sources, retry=True)
    assert (result.pages["read"], result.samples) == (2 * HOSTS, HOSTS)
    assert sorted(site.log.count(f"/{n}.html") for n in range(HOSTS)) == [1] * HOSTS
