"""What the recipe's text rules make of candidates: which texts survive, what was seen, whose page they share."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby

from wenlan_data.clean.chain import Cleaned, clean_texts, examine
from wenlan_data.clean.titles import tell_apart
from wenlan_data.clean.variants import with_variants
from wenlan_data.extract.candidate_tables import Row, recorded_drop
from wenlan_data.protocols import Rule
from wenlan_data.recipe import TitleRepeats
from wenlan_data.records import Candidate, Drop, Remark, Text, Variant
from wenlan_data.web.opt_out import opt_out
from wenlan_data.web.urls import usable

MAX_PAGE_ROWS = 4096
"""A page's rows are looked at together up to this many."""

REMEMBERED_TEXTS = 10_000
"""How many texts are remembered with what the rules made of them."""

_NO_TEXTS = Cleaned((), (), ())


@dataclass(frozen=True, slots=True)
class Verdict:
    """A candidate with the texts that are left of it; or the step that dropped it, and why."""

    candidate: Candidate
    step: str = ""
    drop: Drop | None = None
    cleaned: Cleaned = _NO_TEXTS


@dataclass(frozen=True, slots=True)
class _Remembered:
    """All rules as one, which looks at a text that comes again only once."""

    examined: Callable[[str], tuple[str | Drop, tuple[Remark, ...]]]

    def __call__(self, text: str) -> str | Drop:
        return self.examined(text)[0]

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:  # noqa: ARG002 - the role names it
        return self.examined(before)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaner:
    """The recipe's text rules, loaded."""

    rules: tuple[Rule, ...]
    preference: dict[str, int]
    """Text type to its place in the caption order."""
    variants: tuple[Variant, ...]
    tells_apart: bool
    """Whether an `alt` that repeats the page's title on most of its pictures becomes a `title`."""

    @classmethod
    def of(
        cls,
        rules: tuple[Rule, ...],
        caption_order: Sequence[str],
        variants: tuple[Variant, ...],
        title_repeats: TitleRepeats,
    ) -> "Cleaner":
        """From the keys of the recipe's `text`."""
        preference = {name: place for place, name in enumerate(caption_order)}
        # Titles, headings and keywords come again with every picture of a page.
        remembered = _Remembered(lru_cache(maxsize=REMEMBERED_TEXTS)(partial(examine, rules)))
        return cls(
            rules=(remembered,),
            preference=preference,
            variants=variants,
            tells_apart=title_repeats == "title",
        )

    def __call__(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Verdict]]:
        """Each row with its verdict, in order; rows of one page that follow each other are looked at together."""
        for page, group in groupby(rows, key=lambda row: row.candidate.page_url):
            verdicts = ((row, self._judge(row.candidate)) for row in group)
            yield from self._told_apart(list(verdicts)) if page and self.tells_apart else verdicts

    def _judge(self, candidate: Candidate) -> Verdict:
        drop = recorded_drop(candidate) if candidate.stored else usable(candidate.url)
        drop = drop or opt_out(candidate.opt_out)
        if drop:
            return Verdict(candidate, "extract", drop)
        cleaned = clean_texts(self.rules, candidate.texts)
        author = candidate.author or next(
            (seen.value for _, seen in cleaned.remarks if seen.kind == "author"), ""
        )
        # A picture that only a page's title or heading speaks of would get no caption: it is not asked for.
        if any(text.type in self.preference for text in cleaned.texts):
            texts = with_variants(cleaned.texts, self.variants)
            return Verdict(replace(candidate, texts=texts, author=author), cleaned=cleaned)
        # min() keeps the first of equals: the order on the page decides between two texts of one type.
        last = len(self.preference)
        best = min(
            cleaned.rejected, key=lambda pair: self.preference.get(pair[0].type, last), default=None
        )
        return Verdict(candidate, "clean", best[1] if best else Drop("no_text"))

    def _told_apart(self, page: list[tuple[Row, Verdict]]) -> list[tuple[Row, Verdict]]:
        alive = [place for place, (_, verdict) in enumerate(page) if not verdict.drop]
        titles = _page_titles(page)
        if not titles:
            return page
        changed = tell_apart([page[place][1].candidate.texts for place in alive], titles)
        for place, texts in zip(alive, changed, strict=True):
            row, verdict = page[place]
            if texts != verdict.candidate.texts:
                page[place] = row, _with_title(verdict, texts)
        return page


def _with_title(verdict: Verdict, texts: tuple[Text, ...]) -> Verdict:
    remarks = (*verdict.cleaned.remarks, ("alt", Remark("repeats", "title")))
    candidate = replace(verdict.candidate, texts=tuple(dict.fromkeys(texts)))
    return replace(verdict, candidate=candidate, cleaned=replace(verdict.cleaned, remarks=remarks))


def _page_titles(page: Sequence[tuple[Row, Verdict]]) -> list[str]:
    """The titles as read and as cleaned."""
    texts = (
        text for row, verdict in page for text in (*row.candidate.texts, *verdict.candidate.texts)
    )
    return list(dict.fromkeys(text.text for text in texts if text.type == "page_title"))


def page_batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """Batches of `size` rows and a few more, so that a page of up to 4,096 pictures stays in one."""
    batch: list[Row] = []
    for row in rows:
        page = row.candidate.page_url
        is_full = len(batch) >= size and (not page or page != batch[-1].candidate.page_url)
        if is_full or len(batch) >= size + MAX_PAGE_ROWS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
