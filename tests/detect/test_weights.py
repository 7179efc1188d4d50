import hashlib
import re
from pathlib import Path

import pytest

from wenlan_data.detect import weights
from wenlan_data.detect.extras import import_extra
from wenlan_data.detect.weights import (
    NAMED_WEIGHTS,
    NamedWeights,
    cache_path,
    known_digest,
    weights_file,
)
from wenlan_data.errors import RecipeError, WenlanError
from wenlan_data.testing import CannedResponse, Site

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path / "cache"))
    site = Site(
        {"/tiny.onnx": CannedResponse(CONTENT), "/other.onnx": CannedResponse(b"something else")}
    )
    for name, path in {"tiny": "/tiny.onnx", "other": "/other.onnx", "gone": "/gone.onnx"}.items():
        named = NamedWeights(
            url=site.url(path), sha256=SHA256, licence="CC0", bytes=len(CONTENT), suffix=".onnx"
        )
        monkeypatch.setitem(NAMED_WEIGHTS, name, named)
    return site


def test_a_named_file_is_downloaded_once_and_announced(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    with site:
        path = weights_file("tiny")
        assert path.read_bytes() == CONTENT
        assert weights_file("tiny") == path == cache_path("tiny")
    assert site.log == ["/tiny.onnx"]
    shown = capsys.readouterr().err
    assert f"weights tiny: {site.url('/tiny.onnx')}\n" in shown
    assert "CC0" in shown
    assert [one.name for one in path.parent.iterdir()] == ["tiny.onnx"]


@pytest.mark.parametrize(
    ("name", "message"), [("other", "was deleted"), ("gone", "cannot be downloaded")]
)
def test_a_wrong_or_missing_download_leaves_no_file(name: str, message: str, site: Site) -> None:
    with site, pytest.raises(WenlanError, match=message):
        weights_file(name)
    assert list(cache_path(name).parent.iterdir()) == []


def test_a_local_file_is_used_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(CONTENT)
    assert weights_file(str(path)) == path
    assert weights_file(str(path), SHA256) == path
    assert known_digest(str(path)) == SHA256
    with pytest.raises(RecipeError, match="another file"):
        weights_file(str(path), "00" * 32)
    with pytest.raises(
        RecipeError, match="there is no such file: give its path, or one of the names"
    ):
        weights_file(str(tmp_path / "none.onnx"))


def test_every_named_file_has_a_whole_digest_an_address_and_a_licence() -> None:
    for named in NAMED_WEIGHTS.values():
        assert re.fullmatch("[0-9a-f]{64}", named.sha256)
        # By torch.hub's convention the file name ends in a prefix of the digest.
        begins = re.search(r"-([0-9a-f]{8})\.pth$", named.url)
        assert begins is None or named.sha256.startswith(begins[1])
        assert named.url.startswith("https://")
        assert named.licence


def test_a_prefix_of_a_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(CONTENT)
    with pytest.raises(RecipeError, match="another file"):
        weights_file(str(path), SHA256[:8])


def test_the_digest_of_a_name_does_not_change_by_downloading_it(site: Site) -> None:
    before = known_digest("tiny")
    with site:
        weights_file("tiny")
    assert known_digest("tiny") == before == SHA256


def test_a_missing_package_states_the_command_to_run() -> None:
    with pytest.raises(RecipeError, match=r"pip install 'wenlan-data\[yolox\]'"):
        import_extra("surely_no_such_package", by="yolox", extra="yolox")
