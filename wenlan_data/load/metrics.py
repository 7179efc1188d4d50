"""What a loader did and how long its user waited for it."""

from collections import Counter
from dataclasses import dataclass, field
from math import inf, sqrt

from wenlan_data.errors import DamageError
from wenlan_data.load.batches import Bad, Work
from wenlan_data.load.shard_index import Shard

MAX_BAD_SHARE = 0.01
"""Of a shard; a single bad sample stops no epoch, however small its shard."""
KEPT_EXAMPLES = 100


@dataclass(slots=True)
class Metrics:
    """Counters of one rank and one epoch, from the position on."""

    batches: int = 0
    samples: int = 0
    bytes: int = 0
    wait_s: float = 0.0
    """How long the user of the loader waited for batches, the first one apart."""
    first_wait_s: float = 0.0
    elapsed_s: float = 0.0
    """From the first batch to the last so far; what is not waiting is the user's own work."""
    stage_s: Counter[str] = field(default_factory=Counter)
    """Seconds of all workers together: read, decode, text, pack; copy and augment are the device's."""
    bad: Counter[str] = field(default_factory=Counter)
    """Samples skipped, by reason."""
    bad_examples: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Shard, key, reason, detail of the first ones."""
    texts_cut: int = 0
    """Texts that were longer than the tokenizer's cap."""
    texts_other: int = 0
    """Samples that lacked the text asked for: their caption stood in."""
    sources: Counter[str] = field(default_factory=Counter)
    """Samples by source."""
    notes: list[str] = field(default_factory=list)
    """What is worth a line in a log: shards left out, how the epoch ends."""

    @property
    def wait_share(self) -> float:
        """Of the time since the first batch."""
        return self.wait_s / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def bad_share(self) -> float:
        """Skipped samples of all that were met."""
        return sum(self.bad.values()) / self.samples if self.samples else 0.0

    def occupancy(self, workers: int) -> dict[str, float]:
        """The share of the workers' time that each stage takes."""
        whole = self.elapsed_s * max(1, workers)
        return {stage: seconds / whole for stage, seconds in self.stage_s.items()} if whole else {}

    def as_json(self) -> dict[str, object]:
        """Everything, as JSON values."""
        return {
            "batches": self.batches,
            "samples": self.samples,
            "mb_per_s": self.bytes / 1e6 / self.elapsed_s if self.elapsed_s else 0.0,
            "wait_s": self.wait_s,
            "first_wait_s": self.first_wait_s,
            "wait_share": self.wait_share,
            "stage_s": dict(self.stage_s),
            "bad": dict(self.bad),
            "bad_share": self.bad_share,
            "texts_cut": self.texts_cut,
            "texts_other": self.texts_other,
            "sources": dict(self.sources),
            "notes": list(self.notes),
        }


class Tally:
    """Adds up the work of batches, and stops the epoch where a shard has too many bad samples."""

    def __init__(
        self, metrics: Metrics, shards: tuple[Shard, ...], source_of: list[str], ranks: int
    ) -> None:
        self._metrics = metrics
        self._shards, self._source_of, self._ranks = shards, source_of, ranks
        self._bad_of: dict[int, Counter[str]] = {}

    def add(self, work: Work, batch_size: int) -> None:
        """Take a batch in; raises `DamageError` naming the shard and a key of it where more than 1 % of it is bad."""
        metrics = self._metrics
        metrics.batches += 1
        metrics.samples += batch_size
        metrics.bytes += work.counts.get("bytes", 0)
        metrics.texts_cut += work.counts.get("texts_cut", 0)
        metrics.texts_other += work.counts.get("texts_other", 0)
        metrics.stage_s.update(work.seconds)
        for shard, count in work.shards.items():
            metrics.sources[self._source_of[shard]] += count
        for bad in work.bad:
            self._drop(bad)

    def _limit(self, samples: int) -> float:
        # One of several ranks meets its share of a shard only: three deviations above what 1 % would give it.
        expected = MAX_BAD_SHARE * samples / self._ranks
        return max(1.0, expected + (3 * sqrt(expected) if self._ranks > 1 else 0))

    def _limit_of_all(self) -> float:
        return (
            inf if self._ranks == 1 else max(10.0, self._limit(self._metrics.samples * self._ranks))
        )

    def _drop(self, bad: Bad) -> None:
        shard = self._shards[bad["shard"]]
        self._metrics.bad[bad["reason"]] += 1
        if len(self._metrics.bad_examples) < KEPT_EXAMPLES:
            self._metrics.bad_examples.append(
                (shard.path, bad["key"], bad["reason"], bad["detail"])
            )
        reasons = self._bad_of.setdefault(bad["shard"], Counter())
        reasons[bad["reason"]] += 1
        count = sum(reasons.values())
        if (
            count > self._limit(shard.samples)
            or sum(self._metrics.bad.values()) > self._limit_of_all()
        ):
            why = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
            where = f"the last is {bad['key']} ({bad['detail'] or bad['reason']})"
            raise DamageError(
                f"{shard.path}: {count} of its {shard.samples} samples cannot be used ({why}): {where}"
            )
