"""Runs the recipe's text rules over candidates, and finds alt texts that repeat the page's
title."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby

from wenlan_data.clean.chain import (
    CleanedTexts,
    apply_with_remarks,
    clean_texts,
    low_confidence,
)
from wenlan_data.clean.titles import demote_title_repeats
from wenlan_data.clean.variants import with_variants
from wenlan_data.extract.candidate_tables import CandidateRow
from wenlan_data.protocols import Rule
from wenlan_data.reasons import Reason
from wenlan_data.recipe import TextRules
from wenlan_data.records import Candidate, Drop, Remark, Text, Variant, merge_equal_texts
from wenlan_data.web.opt_out import opt_out
from wenlan_data.web.urls import url_problem

MAX_PAGE_ROWS = 4096
"""A batch grows by at most this many rows to hold the images of one page together."""
MAX_BATCH_CHARACTERS = 1 << 24
"""Texts of a batch. A usual one has a quarter of it; a table may have texts of a megabyte."""

MAX_CACHED_TEXTS = 10_000
"""Texts whose result of all rules is cached."""

_NO_TEXTS = CleanedTexts((), (), ())


@dataclass(frozen=True, slots=True)
class CleaningDecision:
    """A candidate with the texts that survived; or the step that dropped it, and why."""

    candidate: Candidate
    step: str = ""
    drop: Drop | None = None
    cleaned: CleanedTexts = _NO_TEXTS


@dataclass(frozen=True, slots=True)
class _CachedRules:
    """All rules as one, which examines a repeated text once."""

    apply: Callable[[str], tuple[str | Drop, tuple[Remark, ...]]]

    def __call__(self, text: str) -> str | Drop:
        return self.apply(text)[0]

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:  # noqa: ARG002 - the role names it
        return self.apply(before)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCleaner:
    """The recipe's text rules, loaded."""

    rules: tuple[Rule, ...]
    preference: dict[str, int]
    """Text type to its rank in the caption order."""
    variants: tuple[Variant, ...]
    min_confidence: float
    """Texts of lower confidence are rejected."""
    demotes_title_repeats: bool
    """Whether an `alt` that repeats the page's title becomes a `title`."""

    @classmethod
    def of(cls, text: TextRules) -> "TextCleaner":
        """Returns a cleaner for the recipe's `text` section; loads its rules."""
        rules = tuple(spec.load() for spec in text.rules)
        preference = {name: rank for rank, name in enumerate(text.caption)}
        # Titles, headings and keywords repeat with every image of a page.
        cached = _CachedRules(
            lru_cache(maxsize=MAX_CACHED_TEXTS)(partial(apply_with_remarks, rules))
        )
        return cls(
            rules=(cached,),
            preference=preference,
            variants=text.variants,
            min_confidence=text.min_confidence,
            demotes_title_repeats=text.title_repeats == "title",
        )

    def __call__(
        self, rows: Iterable[CandidateRow]
    ) -> Iterator[tuple[CandidateRow, CleaningDecision]]:
        """Yields each row with its decision, in order.

        Adjacent rows of one page are cleaned together.
        """
        for page, group in groupby(rows, key=lambda row: row.candidate.page_url):
            decisions = ((row, self._decide(row)) for row in group)
            if page and self.demotes_title_repeats:
                yield from _demote_title_repeats(list(decisions))
            else:
                yield from decisions

    def _decide(self, row: CandidateRow) -> CleaningDecision:
        candidate = row.candidate
        if row.unreadable:
            # Whatever the reason: `--retry-failed` would read the same drop from its recording.
            final = Drop(row.unreadable.reason, row.unreadable.detail, retryable=False)
            return CleaningDecision(candidate, "extract", final)
        # The URL of a stored image may be a path: it is never requested, so it is not checked.
        problem = None if candidate.origin else url_problem(candidate.url)
        if drop := problem or opt_out(candidate.opt_out):
            return CleaningDecision(candidate, "extract", drop)
        if candidate.no_content:
            return CleaningDecision(candidate, "extract", candidate.no_content)
        cleaned = clean_texts(self.rules, candidate.texts, self.min_confidence)
        if drop := _condemned(cleaned):
            return CleaningDecision(candidate, "clean", drop)
        author = candidate.author or next(
            (remark.value for _, remark in cleaned.remarks if remark.kind == "author"), ""
        )
        # An image with only a page title, a heading or doubtful texts would get no caption, so it is
        # not fetched.
        ranked = [text for text in cleaned.texts if text.type in self.preference]
        if any(not text.is_doubtful for text in ranked):
            texts = with_variants(cleaned.texts, self.variants)
            return CleaningDecision(replace(candidate, texts=texts, author=author), cleaned=cleaned)
        doubtful = [(text, low_confidence(text)) for text in ranked]
        # min() keeps the first of equals: the order on the page decides between two texts of one
        # type.
        last = len(self.preference)
        best = min(
            [*cleaned.rejected, *doubtful],
            key=lambda pair: self.preference.get(pair[0].type, last),
            default=None,
        )
        return CleaningDecision(candidate, "clean", best[1] if best else Drop(Reason.NO_TEXT))


def _condemned(cleaned: CleanedTexts) -> Drop | None:
    """Returns why the `alt` says that the image is an advertisement or worse: it has words of the
    blocklist, or contact data. The other texts of such an image may look harmless."""
    reasons = (Reason.BLOCKLIST, Reason.CONTACT_INFO)
    drops = (drop for text, drop in cleaned.rejected if text.type == "alt")
    return next((drop for drop in drops if drop.reason in reasons), None)


def _demote_title_repeats(
    page: list[tuple[CandidateRow, CleaningDecision]],
) -> list[tuple[CandidateRow, CleaningDecision]]:
    """Applies `clean.titles` to the surviving rows of one page."""
    surviving = [place for place, (_, decision) in enumerate(page) if not decision.drop]
    titles = _page_titles(page)
    changed = demote_title_repeats([page[place][1].candidate.texts for place in surviving], titles)
    for place, texts in zip(surviving, changed, strict=True):
        row, decision = page[place]
        if texts != decision.candidate.texts:
            page[place] = row, _with_demoted_alt(decision, texts)
    return page


def _with_demoted_alt(decision: CleaningDecision, texts: tuple[Text, ...]) -> CleaningDecision:
    remarks = (*decision.cleaned.remarks, ("alt", Remark("repeats", "title")))
    candidate = replace(decision.candidate, texts=merge_equal_texts(texts))
    return replace(
        decision, candidate=candidate, cleaned=replace(decision.cleaned, remarks=remarks)
    )


def _page_titles(page: Sequence[tuple[CandidateRow, CleaningDecision]]) -> list[str]:
    """The page's titles, as read and as cleaned."""
    texts = (
        text for row, decision in page for text in (*row.candidate.texts, *decision.candidate.texts)
    )
    return list(dict.fromkeys(text.text for text in texts if text.type == "page_title"))


def page_batches(rows: Iterator[CandidateRow], size: int) -> Iterator[list[CandidateRow]]:
    """Yields batches of at least `size` rows, or of long texts, that end between pages.

    A page with more than 4,096 rows beyond `size` is split, so that no page makes a batch without
    bound; so is one whose texts are longer than all of a usual batch.
    """
    batch: list[CandidateRow] = []
    characters = 0
    for row in rows:
        page = row.candidate.page_url
        is_full = len(batch) >= size or characters >= MAX_BATCH_CHARACTERS
        if (
            (is_full and (not page or page != batch[-1].candidate.page_url))
            or len(batch) >= size + MAX_PAGE_ROWS
            or characters >= 4 * MAX_BATCH_CHARACTERS
        ):
            yield batch
            batch, characters = [], 0
        batch.append(row)
        characters += sum(len(text.text) for text in row.candidate.texts)
    if batch:
        yield batch
