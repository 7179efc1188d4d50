from pathlib import Path

import requests

from wenlan_data.demo.server import serve, sources_text
from wenlan_data.source_config import load_sources


def test_the_site_serves_files_and_redirects_moved_paths(tmp_path: Path) -> None:
    (tmp_path / "lake.jpg").write_bytes(b"a lake")
    with serve(tmp_path) as host:
        response = requests.get(f"http://{host}/moved/lake.jpg", timeout=5)
        missing = requests.get(f"http://{host}/missing.jpg", timeout=5)
    assert (response.content, response.url, missing.status_code) == (
        b"a lake",
        f"http://{host}/lake.jpg",
        404,
    )


def test_the_site_opts_out_of_training_in_one_folder_only(tmp_path: Path) -> None:
    (tmp_path / "noai").mkdir()
    for path in ("noai/a.jpg", "b.jpg"):
        (tmp_path / path).write_bytes(b"x")
    with serve(tmp_path) as host:
        tags = [
            requests.get(f"http://{host}/{path}", timeout=5).headers.get("X-Robots-Tag")
            for path in ("noai/a.jpg", "b.jpg")
        ]
    assert tags == ["noai", None]


def test_the_sources_file_permits_only_the_address_of_the_site(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(sources_text("127.0.0.1:8123"), encoding="utf-8")
    sources = load_sources([str(tmp_path / "sources.yaml")])
    assert sources.network.allow == ("127.0.0.1:8123",)
    assert [spec.kind for spec in sources.sources] == ["pages", "folder"]
