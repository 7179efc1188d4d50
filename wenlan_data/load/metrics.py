"""Counters of a loader: samples, time spent waiting, bad samples."""

from collections import Counter
from dataclasses import dataclass, field
from math import inf, sqrt

from wenlan_data.errors import DamageError
from wenlan_data.load.loaded_batch import BadSample, BatchStats
from wenlan_data.load.shard_index import Shard

MAX_BAD_SHARE = 0.01
"""Of a shard; a single bad sample never stops an epoch, however small its shard."""
MAX_BAD_EXAMPLES = 100


@dataclass(slots=True)
class LoaderMetrics:
    """Counters of one rank and one epoch, since the loader's first batch."""

    batches: int = 0
    samples: int = 0
    bytes: int = 0
    wait_s: float = 0.0
    """Time that the user of the loader waited for batches, without the first one."""
    first_wait_s: float = 0.0
    elapsed_s: float = 0.0
    """From the first batch to the latest one; the part that is not `wait_s` is the user's work."""
    stage_s: Counter[str] = field(default_factory=Counter)
    """Seconds by stage: read, decode, text and pack summed over workers; copy and augment."""
    bad: Counter[str] = field(default_factory=Counter)
    """Skipped samples, by reason."""
    bad_examples: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Shard, key, reason and detail of the first `MAX_BAD_EXAMPLES`."""
    workers_lost: int = 0
    """How often workers died or stalled, and new ones took their place."""
    texts_cut: int = 0
    """Texts that were truncated to the maximum number of tokens."""
    texts_other: int = 0
    """Samples without the requested text, whose caption was used instead."""
    sources: Counter[str] = field(default_factory=Counter)
    """Samples by corpus."""
    notes: list[str] = field(default_factory=list)
    """Lines for a log: shards that are left out, how the epoch ends."""

    @property
    def wait_share(self) -> float:
        """Share of `elapsed_s` that was spent waiting."""
        return self.wait_s / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def bad_share(self) -> float:
        """Skipped samples per sample read."""
        return sum(self.bad.values()) / self.samples if self.samples else 0.0

    def occupancy(self, workers: int) -> dict[str, float]:
        """Returns the share of the workers' time that each stage takes."""
        total_s = self.elapsed_s * max(1, workers)
        if not total_s:
            return {}
        return {stage: seconds / total_s for stage, seconds in self.stage_s.items()}

    def as_json(self) -> dict[str, object]:
        """Returns all counters as JSON values."""
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
            "workers_lost": self.workers_lost,
            "texts_cut": self.texts_cut,
            "texts_other": self.texts_other,
            "sources": dict(self.sources),
            "notes": list(self.notes),
        }


class LoaderCounters:
    """Adds up the statistics of batches, and stops the epoch if too many samples are bad."""

    def __init__(
        self,
        metrics: LoaderMetrics,
        shards: tuple[Shard, ...],
        corpus_of_shard: list[str],
        ranks: int,
    ) -> None:
        self._metrics = metrics
        # All corpora, so that every rank has the same names.
        metrics.sources.update(dict.fromkeys(corpus_of_shard, 0))
        self._shards, self._corpus_of_shard = shards, corpus_of_shard
        # That read the same shards, each its part.
        self._ranks = ranks
        self._bad_by_shard: dict[int, Counter[str]] = {}

    def add(self, stats: BatchStats, batch_size: int) -> None:
        """Adds one batch.

        Raises `DamageError` if more than 1 % of a shard is bad; it names the shard and a key.
        """
        metrics = self._metrics
        metrics.batches += 1
        metrics.samples += batch_size
        metrics.bytes += stats.counts.get("bytes", 0)
        metrics.texts_cut += stats.counts.get("texts_cut", 0)
        metrics.texts_other += stats.counts.get("texts_other", 0)
        metrics.stage_s.update(stats.seconds)
        for shard, count in stats.shards.items():
            metrics.sources[self._corpus_of_shard[shard]] += count
        for bad in stats.bad:
            self._add_bad(bad)

    def _limit(self, samples: int) -> float:
        # One rank of several meets a random part of a shard, so it stops only three standard
        # deviations above the expected 1 %. The number of bad samples is nearly Poisson, hence the
        # square root.
        expected = MAX_BAD_SHARE * samples / self._ranks
        return max(1.0, expected + (3 * sqrt(expected) if self._ranks > 1 else 0))

    def _limit_of_all_shards(self) -> float:
        # A rank that meets only a few samples of each shard stays below every limit of a shard.
        if self._ranks == 1:
            return inf
        return max(10.0, self._limit(self._metrics.samples * self._ranks))

    def _add_bad(self, bad: BadSample) -> None:
        shard = self._shards[bad["shard"]]
        self._metrics.bad[bad["reason"]] += 1
        if len(self._metrics.bad_examples) < MAX_BAD_EXAMPLES:
            self._metrics.bad_examples.append(
                (shard.path, bad["key"], bad["reason"], bad["detail"])
            )
        reasons = self._bad_by_shard.setdefault(bad["shard"], Counter())
        reasons[bad["reason"]] += 1
        count, count_of_all = sum(reasons.values()), sum(self._metrics.bad.values())
        if count > self._limit(shard.samples) or count_of_all > self._limit_of_all_shards():
            why = ", ".join(f"{number} {reason}" for reason, number in reasons.most_common())
            last = f"the last is {bad['key']} ({bad['detail'] or bad['reason']})"
            raise DamageError(
                f"{shard.path}: {count} of its {shard.samples} samples cannot be used "
                f"({why}): {last}"
            )
