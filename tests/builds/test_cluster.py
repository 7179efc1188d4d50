"""Builds on Ray clusters: the bytes of a local one, and what nodes may do meanwhile."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builds.clusters import Cluster
from tests.builds.corpus_runs import COMMAND, build, command, content
from tests.other_packages import SHOUTING, write_module
from wenlan_data.testing import make_caption, make_image

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without cores, and a node with two."""
    with Cluster() as running:
        running.add_node(cores=2)
        running.wait_for_nodes(2)
        yield running


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(12):
        (folder / f"{number}.jpg").write_bytes(make_image(number))
        (folder / f"{number}.txt").write_text(make_caption(number), "utf-8")
    return folder


@pytest.fixture(scope="module")
def golden(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    out = tmp_path_factory.mktemp("golden") / "c"
    build(*_words(photos), "--executor", "local", "--out", out)
    return content(out)


def _words(photos: Path) -> list[str]:
    return ["--sources", f"folder:{photos}", "--set", "shard.max_samples=2"]


def _command(cluster: Cluster, photos: Path, out: Path) -> list[str]:
    return [*COMMAND, "build", *_words(photos), "--out", str(out), "--ray", cluster.address]


def _on(cluster: Cluster, *words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, "build", *map(str, words), "--ray", cluster.address],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(
    tmp_path: Path, cluster: Cluster, photos: Path, golden: dict[str, object]
) -> None:
    done = _on(cluster, *_words(photos), "--out", tmp_path / "c")
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "c") == golden


@pytest.mark.slow
def test_a_module_of_plug_ins_is_sent_to_the_nodes(
    tmp_path: Path, cluster: Cluster, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the driver can import it.
    write_module(tmp_path / "code", "mine.loud", SHOUTING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"), prepend=os.pathsep)
    words = [*_words(photos), "--plugins", "mine.loud", "--set", "text.rules=[{rule: shouting}]"]
    build(*words, "--out", tmp_path / "local", "--executor", "local")
    done = subprocess.run(
        [*COMMAND, "build", *words, "--out", tmp_path / "c", "--ray", cluster.address],
        env={**cluster.environment, "PYTHONPATH": os.environ["PYTHONPATH"]},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "c") == content(tmp_path / "local")


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, "0" * 64])
def test_a_cluster_that_refuses_the_token_is_named(
    tmp_path: Path, cluster: Cluster, photos: Path, token: str | None
) -> None:
    environment = {
        name: value for name, value in cluster.environment.items() if "RAY_AUTH" not in name
    }
    if token:
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
    began = time.monotonic()
    done = subprocess.run(
        [*COMMAND, "build", *_words(photos), "--out", tmp_path / "c", "--ray", cluster.address],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert time.monotonic() - began < 60
    line = done.stderr.splitlines()[-1]
    assert "refused the token, or none is set: set RAY_AUTH_MODE=token" in line
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_node_with_other_libraries_that_joins_is_named(tmp_path: Path, photos: Path) -> None:
    other = tmp_path / "libraries" / "pillow-1.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: pillow\nVersion: 1.0\n")
    # The build begins without a node that could run a part; the first one is the wrong one.
    with (
        Cluster() as cluster,
        subprocess.Popen(
            _command(cluster, photos, tmp_path / "c"),
            env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process,
    ):  # fmt: skip
        assert process.stderr
        line = process.stderr.readline()
        assert "waiting for a free core of the cluster" in line, line
        cluster.add_node(environment={"PYTHONPATH": str(other.parent)})
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 2, errors
    last = errors.splitlines()[-1]
    assert "wenlan-data: node " in last
    assert "pillow 1.0 (the driver has " in last
    assert "Traceback" not in errors


@pytest.mark.slow
def test_nodes_that_die_cost_time_alone(
    tmp_path: Path, photos: Path, golden: dict[str, object]
) -> None:
    with Cluster() as cluster:
        first, second = cluster.add_node(), cluster.add_node()
        cluster.wait_for_nodes(3)
        with subprocess.Popen(
            _command(cluster, photos, tmp_path / "c"),
            env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            attempts = tmp_path / "c" / ".work" / "attempts"
            while not list(attempts.glob("*.alive")):
                assert process.poll() is None
                time.sleep(0.05)
            cluster.kill(first)
            _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert content(tmp_path / "c") == golden
        # A build that begins right after a death.
        cluster.add_node()
        cluster.wait_for_nodes(3)
        cluster.kill(second)
        done = _on(cluster, *_words(photos), "--out", tmp_path / "d")
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert content(tmp_path / "d") == golden


@pytest.mark.slow
def test_a_folder_that_a_node_does_not_reach_is_named(tmp_path: Path, cluster: Cluster) -> None:
    # A folder of the driver alone: its mount namespace has another /srv than the nodes.
    script = 'mount -t tmpfs none /srv && mkdir /srv/p && cp -r $0/. /srv/p && cd / && exec "$@"'
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "1.jpg").write_bytes(make_image(1))
    (photos / "1.txt").write_text(make_caption(1), "utf-8")
    words = ["build", "--sources", "folder:/srv/p", "--out", str(tmp_path / "c")]
    unshare = ["unshare", "--mount", "sh", "-c", script, str(photos)]
    done = subprocess.run(
        [*unshare, sys.executable, "-m", "wenlan_data", *words, "--ray", cluster.address],
        env={**cluster.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    if "Operation not permitted" in done.stderr:
        pytest.skip("this user may not make a mount namespace")
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert "/srv/p" in last
    assert "node " in last


def test_the_cores_of_the_cluster_are_the_default(tmp_path: Path, photos: Path) -> None:
    words = ["build", *_words(photos), "--out", tmp_path / "c", "--dry-run", "--json"]
    assert json.loads(command(*words, "--ray", "127.0.0.1:9").stdout)["workers"] is None
    assert json.loads(command(*words).stdout)["workers"] == len(os.sched_getaffinity(0))
    assert json.loads(command(*words, "--workers", "3").stdout)["workers"] == 3


def test_a_cluster_that_does_not_respond_is_named(tmp_path: Path, photos: Path) -> None:
    done = command("build", *_words(photos), "--out", tmp_path / "c", "--ray", "127.0.0.1:9")
    assert done.returncode == 2, done.stderr
    assert "--ray 127.0.0.1:9" in done.stderr.splitlines()[-1]
