"""Finds one sample of a corpus by key or number."""

from collections.abc import Sequence
from pathlib import Path

from wenlan_data.errors import UsageError
from wenlan_data.shard import format as shard_format
from wenlan_data.shard.reader import Member, SampleMembers, scan, shard_paths


def find_sample(paths: Sequence[Path], key: str) -> tuple[Path, SampleMembers]:
    """Where the sample `key` lies: by the offsets tables of a corpus, by reading through other tars.

    Raises `UsageError` where no tar holds it.
    """
    for path in shard_paths(paths):
        offsets = path.with_name(shard_format.offsets_name(path.name))
        group = _look_up(offsets, key) if offsets.is_file() else _search(path, key)
        if group:
            return path, group
    raise UsageError(
        f"{key!r}: no shard given holds this key: `shards ls --samples` shows what there is"
    )


def _look_up(offsets: Path, key: str) -> SampleMembers | None:
    from wenlan_data.shard.index import find_locations

    places = find_locations(offsets, key)
    members = {
        place.member.removeprefix(key + "."): Member(place.member, place.offset, place.size)
        for place in places
    }
    return SampleMembers(key, members) if members else None


def _search(path: Path, key: str) -> SampleMembers | None:
    return next((group for group in scan(path) if group.key == key), None)
