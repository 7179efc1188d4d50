"""What is known of pictures besides their hashes: how many URLs serve them, what they say, whose site they are from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import tldextract
from numpy.typing import NDArray

from wenlan_data.dedupe import captions
from wenlan_data.dedupe.beyond import Beyond
from wenlan_data.dedupe.codes import Published
from wenlan_data.dedupe.columns import are_equal, rows, whole
from wenlan_data.dedupe.counts import SITE_COUNTS, SITE_HASHES, earlier_counts, hashes_of
from wenlan_data.dedupe.intake import Intake
from wenlan_data.dedupe.saying import near_captions, near_published
from wenlan_data.recipe import DedupeRules

if TYPE_CHECKING:
    from wenlan_data.dedupe.columns import Lists

Indices = NDArray[np.int64]
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
class Placeholders:
    """Pictures that stand for nothing: "hotlink forbidden", "image removed"."""

    sha256: NDArray[np.bytes_]
    """S32 (B,), sorted: all that are known."""
    new: NDArray[np.bytes_]
    """Those found in this generation."""


def placeholders(intake: Intake, published: Published, from_urls: int) -> Placeholders:
    """Pictures whose very bytes `from_urls` or more URLs of the generation serve (0: none), or that once were such."""
    known = published.placeholders()
    new = np.empty(0, "S32")
    if from_urls:
        good = np.flatnonzero(are_equal(intake.facts, "reason", ""))
        digests = cast("pa.DictionaryArray", whole(intake.facts, "sha256").take(rows(good)).dictionary_encode())
        counts = np.bincount(digests.indices.to_numpy(), minlength=len(digests.dictionary))
        often = cast("list[str]", digests.dictionary.take(rows(np.flatnonzero(counts >= from_urls))).to_pylist())
        new = np.unique(np.array([bytes.fromhex(one) for one in often], "S32"))
    return Placeholders(np.union1d(known, new), new)


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
    intake: Intake, texts: "Lists", primary: Indices, order: Sequence[str], earlier: EarlierCorpus, rules: DedupeRules
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
        return About(Beyond(text_edges=edges, said_before=same, published=np.empty(0, np.int64)), said)
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
