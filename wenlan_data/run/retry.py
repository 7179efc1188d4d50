"""Which candidates failed in a way that may pass, and were not tried again since."""

import numpy as np

from wenlan_data.run.ledger import Ledger
from wenlan_data.run.planned import GenerationPlan


def retry_plan(ledger: Ledger, generation: int) -> GenerationPlan | None:
    """The plan of a generation that asks for them again; None where there are none. Writes its `retry-ids.npy`."""
    open_ids: set[bytes] = set()
    for number in range(generation):
        folder = ledger.part(number, "drops", 0)
        open_ids -= set(_load(folder / "ids.npy"))
        open_ids |= set(_load(folder / "retryable.npy"))
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


def _load(path: object) -> list[bytes]:
    ids: list[bytes] = [bytes(one).ljust(16, b"\0") for one in np.load(str(path), allow_pickle=False)]
    return ids
