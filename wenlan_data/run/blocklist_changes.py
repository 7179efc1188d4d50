"""Discards what a stopped build decided with other blocklists, before it is published."""

from pathlib import Path

from wenlan_data.dedupe.step import DedupeDetails
from wenlan_data.layout import METADATA, SHARDS
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.removal import remove_file
from wenlan_data.shard.step import ShardDetails
from wenlan_data.web.blocklists import Blocklists


def discard_other_blocklists(
    out: Path, ledger: Ledger, generation: int, blocklists: Blocklists
) -> None:
    """Removes the steps from dedupe on of an unpublished generation, so that they run again, unless
    they applied the entries of these lists."""
    done = ledger.receipt(generation, "dedupe", 0, DedupeDetails)
    if done is None or done.details.blocklists == blocklists.load().digest:
        return
    # A build that is killed while it publishes leaves files which no manifest names. There may be
    # fewer shards now, which would not replace all of them.
    for planned in done.details.shards:
        shard = ledger.receipt(generation, "shard", planned.number, ShardDetails)
        if shard is not None:
            details = shard.details
            files = [out / SHARDS / name for name in (details.name, details.offsets.name)]
            for path in (*files, out / METADATA / f"{planned.number:06d}.parquet"):
                if path.exists():
                    remove_file(path, out)
    # The last step first: after a kill in between, the next build does the rest.
    for step in ("drops", "shard", "dedupe"):
        folder = ledger.tree.step(generation, step)
        if folder.exists():
            ledger.discard(folder)
