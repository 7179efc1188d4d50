"""Finds one sample by its key."""

from collections.abc import Sequence
from pathlib import Path

from wenlan_data.errors import DamageError, UsageError
from wenlan_data.shard import format as shard_format
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.reader import (
    MAX_SAMPLE_MEMBERS,
    Member,
    SampleMembers,
    scan,
    shard_paths,
)


def find_sample(paths: Sequence[Path], key: str) -> tuple[Path, SampleMembers]:
    """Returns the tar that holds the sample `key`, and the places of its members.

    Uses offsets tables where they exist; a tar without one is read from its start. Raises
    `UsageError` if no tar holds the key.
    """
    for path in shard_paths(paths):
        name = shard_format.offsets_name(path.name)
        # Beside a tar that is a link itself, its table may be one too.
        is_link = path.is_symlink()
        offsets = path.with_name(name) if is_link else corpus_file(path.parent, "", name)
        sample = _look_up(offsets, key) if offsets.is_file() else _search(path, key)
        if sample:
            return path, sample
    raise UsageError(
        f"{key!r}: no given shard holds this key: `shards ls --samples` lists the keys"
    )


def _look_up(offsets: Path, key: str) -> SampleMembers | None:
    # Imported here: a tar without a table is searched without pyarrow.
    from wenlan_data.shard.index import find_locations

    members: dict[str, Member] = {}
    for one in find_locations(offsets, key):
        if len(members) == MAX_SAMPLE_MEMBERS:
            raise DamageError(f"{offsets}: {key!r}: more than {MAX_SAMPLE_MEMBERS} members")
        members[one.member.removeprefix(key + ".")] = Member(one.member, one.offset, one.size)
    return SampleMembers(key, members) if members else None


def _search(path: Path, key: str) -> SampleMembers | None:
    return next((sample for sample in scan(path) if sample.key == key), None)
