"""Candidates that `--retry-failed` fetches again: transient failures, and those of hosts that
`network.allow` did not list before."""

from collections.abc import Collection

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.arrow import read_table, rows
from wenlan_data.layout import CANDIDATE_IDS, PART_DROPS, RAW_CANDIDATES, RETRYABLE_IDS
from wenlan_data.npy import FixedBytes
from wenlan_data.part_files import checked, file_checksum
from wenlan_data.run.generations import GenerationPlan
from wenlan_data.run.ledger import Ledger
from wenlan_data.run.recordings import extract_files
from wenlan_data.seen_ids import ids_array, load_ids, save_ids
from wenlan_data.web.address_policy import REFUSALS
from wenlan_data.web.urls import host_of


def retry_plan(
    ledger: Ledger, generation: int, allow: Collection[str] = ()
) -> GenerationPlan | None:
    """Returns the plan of a generation that repeats failed candidates; None where there are none.

    Writes the ids of these candidates beside the plan. `allow` is the current `network.allow`:
    candidates that the address policy blocked before it listed their host are repeated as well.
    """
    failed = ids_array(())
    for number in range(generation):
        folder = ledger.part(number, "drops", 0)
        # A later generation that read a candidate again decides about it.
        failed = np.setdiff1d(failed, load_ids(folder / CANDIDATE_IDS))
        failed = np.union1d(failed, load_ids(folder / RETRYABLE_IDS))
        # Hosts that were listed already are left out: else each `--retry-failed` would repeat them.
        opened = set(allow) - _allowed_then(ledger, number)
        if opened:
            failed = np.union1d(failed, _blocked(ledger, number, opened))
    if not len(failed):
        return None
    # Before the plan, which refers to this file: a plan without it could not be resumed.
    target = ledger.tree.retry_ids(generation)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_ids(target, failed)
    raws = [
        str(path)
        for number in range(generation)
        if (plan := GenerationPlan.load(ledger.tree, number))
        for path in extract_files(ledger.tree, number, plan.extract_parts, RAW_CANDIDATES)
    ]
    retried = _last_drops(ledger, generation, failed)
    return GenerationPlan(
        kind="retry", raws=tuple(raws), retried=retried, retry_ids=file_checksum(target)
    )


def _last_drops(ledger: Ledger, published: int, ids: FixedBytes) -> dict[str, dict[str, int]]:
    """Counts the last drops of these candidates by step and reason."""
    counts: dict[str, dict[str, int]] = {}
    for number in reversed(range(published)):
        path = ledger.part(number, "dedupe", 0) / PART_DROPS
        table = read_table(path, ["candidate_id", "step", "reason"])
        own = ids_array(table["candidate_id"].to_pylist()).astype("S16")
        # All rows of an id: one that its generation read twice was counted twice there.
        for row in table.take(rows(np.flatnonzero(np.isin(own, ids)))).to_pylist():
            reasons = counts.setdefault(row["step"], {})
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
        ids = np.setdiff1d(ids, own)
    return counts


def _allowed_then(ledger: Ledger, number: int) -> set[str]:
    plan = GenerationPlan.load(ledger.tree, number)
    return set(plan.allowed_hosts()) if plan else set()


def _blocked(ledger: Ledger, number: int, hosts: set[str]) -> FixedBytes:
    """Returns the candidates of a generation whose own host the address policy blocked."""
    table = pq.read_table(
        checked(ledger.part(number, "dedupe", 0) / PART_DROPS),
        columns=["candidate_id", "url"],
        filters=pc.field("reason").isin(sorted(REFUSALS)),
    )
    pairs = zip(table["candidate_id"].to_pylist(), table["url"].to_pylist(), strict=True)
    return ids_array(one for one, url in pairs if host_of(url) in hosts)
