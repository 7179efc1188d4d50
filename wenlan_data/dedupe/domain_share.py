"""The share of the corpus that one registrable domain may have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast
from urllib.parse import urlsplit

import numpy as np
import tldextract
from numpy.typing import NDArray

from wenlan_data.arrow import Lists, rows
from wenlan_data.dedupe import captions
from wenlan_data.dedupe.constraints import Beyond
from wenlan_data.dedupe.frequency import earlier_counts
from wenlan_data.dedupe.minhash import near_captions, near_published
from wenlan_data.dedupe.placeholders import Indices
from wenlan_data.dedupe.table import Intake
from wenlan_data.dedupe.text_hashes import hashes_of
from wenlan_data.index.published import SITE_COUNTS, SITE_HASHES, Published
from wenlan_data.recipe import DedupeRules

_NO_EDGES = np.empty((0, 2), np.int64)
# Its bundled list of public suffixes: nothing is asked, nothing is cached.
_site_of = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


class EarlierCorpus(Protocol):
    """What `about` asks for."""

    @property
    def published(self) -> Published:
        """The index of what is published."""

    @property
    def captions(self) -> tuple[str, ...]:
        """Folders with the captions of what is published."""


@dataclass(frozen=True, slots=True)
class About:
    """Of N pictures."""

    beyond: Beyond | None = None
    captions: list[str] = field(default_factory=list)
    """Empty where texts are not compared."""
    site_hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    """Of each site that `beyond.site` numbers."""

    def counted(self, kept: Indices) -> tuple[NDArray[np.uint64], Indices]:
        """Site hashes, sorted, and how many of the kept pictures each has."""
        if self.beyond is None or self.beyond.site is None:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        sites = self.beyond.site[kept]
        counts = np.bincount(sites[sites >= 0], minlength=len(self.site_hashes))
        return self.site_hashes[counts > 0], counts[counts > 0]


def about(
    intake: Intake,
    texts: "Lists",
    primary: Indices,
    order: Sequence[str],
    earlier: EarlierCorpus,
    rules: DedupeRules,
) -> About:
    """What the recipe asks to look at; `primary` is the candidate of each picture."""
    if not rules.text_similarity and rules.max_domain_share >= 1:
        return About()
    said, edges, same = list[str](), _NO_EDGES, np.zeros(len(primary), "S16")
    if rules.text_similarity:
        column = cast("Lists", texts.take(rows(primary)))
        said = cast("list[str]", captions.choose_all(column, order)[0].to_pylist())
        edges = near_captions(said, rules.text_similarity)
        same = near_published(said, earlier.captions, rules.text_similarity)
    if rules.max_domain_share >= 1:
        return About(
            Beyond(text_edges=edges, said_before=same, published=np.empty(0, np.int64)), said
        )
    urls = cast("list[str]", intake.facts["url_key"].take(rows(intake.fact[primary])).to_pylist())
    names = [site_of(url) for url in urls]
    known = sorted({name for name in names if name})
    hashes = hashes_of(known)
    order_of = np.argsort(hashes)
    number = {known[place]: rank for rank, place in enumerate(order_of.tolist())}
    folders = earlier.published.folders
    beyond = Beyond(
        text_edges=edges,
        said_before=same,
        site=np.array([number.get(name, -1) for name in names], np.int64),
        published=earlier_counts(folders, hashes[order_of], (SITE_HASHES, SITE_COUNTS)),
        published_total=sum(len(run.prints.phash) for run in earlier.published.runs()),
        share=rules.max_domain_share,
    )
    return About(beyond, said, hashes[order_of])


def site_of(url: str) -> str:
    """The registrable domain of a URL, the host itself where it has none (an address), '' for a path."""
    host = urlsplit(url).hostname or "" if "://" in url else ""
    return _site_of(host).top_domain_under_public_suffix or host
