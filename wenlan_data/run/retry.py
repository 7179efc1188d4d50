"""Which candidates failed in a way that may pass, or at a host that is open by now, and were not tried again since."""

from collections.abc import Collection
from typing import cast

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.run.generations import GenerationPlan
from wenlan_data.run.ledger import Ledger
from wenlan_data.web.address_policy import REFUSALS
from wenlan_data.web.urls import host_of


def retry_plan(
    ledger: Ledger, generation: int, allow: Collection[str] = ()
) -> GenerationPlan | None:
    """The plan of a generation that asks for them again; None where there are none. Writes its `retry-ids.npy`.

    `allow` is `network.allow` of now: what was not dialled at one of these hosts, while it was closed, counts too.
    """
    open_ids: set[bytes] = set()
    for number in range(generation):
        folder = ledger.part(number, "drops", 0)
        open_ids -= set(_load(folder / "ids.npy"))
        open_ids |= set(_load(folder / "retryable.npy"))
        opened = set(allow) - _opened_then(ledger, number)
        open_ids |= _refused(ledger, number, opened) if opened else set()
    if not open_ids:
        return None
    target = ledger.generation(generation)
    target.mkdir(parents=True, exist_ok=True)
    np.save(target / "retry-ids.npy", np.array(sorted(open_ids), dtype="S16"))
    raws = [
        str(path)
        for number in range(generation)
        for path in sorted(ledger.generation(number).glob("extract/*/raw.parquet"))
    ]
    return GenerationPlan(kind="retry", raws=tuple(raws))


def _opened_then(ledger: Ledger, number: int) -> set[str]:
    plan = GenerationPlan.load(ledger.generation(number))
    network = cast("dict[str, list[str]]", plan.manners.get("network", {})) if plan else {}
    return set(network.get("allow", ()))


def _refused(ledger: Ledger, number: int, hosts: set[str]) -> set[bytes]:
    """Candidates of a generation whose own host was not dialled."""
    table = pq.read_table(
        ledger.part(number, "dedupe", 0) / "drops.parquet",
        columns=["candidate_id", "url"],
        filters=pc.field("reason").isin(sorted(REFUSALS)),
    )
    rows = zip(table["candidate_id"].to_pylist(), table["url"].to_pylist(), strict=True)
    return {one for one, url in rows if host_of(url) in hosts}


def _load(path: object) -> list[bytes]:
    ids: list[bytes] = [
        bytes(one).ljust(16, b"\0") for one in np.load(str(path), allow_pickle=False)
    ]
    return ids
