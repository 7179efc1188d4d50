from pathlib import Path

from wenlan_data.run.publish import FolderStore


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_an_object_published_again_is_there_once(tmp_path: Path) -> None:
    source = tmp_path / "part.tar"
    source.write_bytes(b"shard")
    store = FolderStore(tmp_path / "corpus")
    for _ in range(2):
        store.publish(source, "shards/wenlan-000000.tar")
        assert _files(store.root) == ["shards/wenlan-000000.tar"]
    assert (store.root / "shards" / "wenlan-000000.tar").read_bytes() == b"shard"


def test_what_a_killed_build_left_under_a_temporary_name_is_replaced(tmp_path: Path) -> None:
    source = tmp_path / "part.tar"
    source.write_bytes(b"shard")
    (tmp_path / "corpus" / "shards").mkdir(parents=True)
    (tmp_path / "corpus" / "shards" / ".wenlan-000000.tar.12ab.partial").write_bytes(b"sh")
    store = FolderStore(tmp_path / "corpus")
    store.publish(source, "shards/wenlan-000000.tar")
    assert _files(store.root) == ["shards/wenlan-000000.tar"]
