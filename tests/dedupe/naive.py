"""The whole decision rule as plain code: loops over Python objects, quadratic."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.dedupe.rows import ORDER, Row, typed_texts
from wenlan_data.records import Text
from wenlan_data.shard.format import sample_key

Published = tuple[str, str, int, int, bytes]
"""sha256, key, phash, pdq, colours of a published image."""


@dataclass
class Corpus:
    """What is published, generation by generation."""

    images: list[list[Published]] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    pages: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Site and sha256 of an image, or '' for all images, to the pages where it stands."""
    furniture: set[str] = field(default_factory=set)


@dataclass
class Outcome:
    """The decision about a candidate."""

    reason: str
    duplicate_of: str = ""
    distances: tuple[int, int] = (-1, -1)


@dataclass
class Generation:
    """Outcomes by row, and the kept rows' keys, captions and texts."""

    outcomes: list[Outcome]
    kept: dict[int, tuple[str, str, list[Text], list[str]]]


def rank(texts: Sequence[Text]) -> int:
    return min(
        (ORDER.index(one.type) for one in texts if one.type in ORDER and one.confidence >= 0.5),
        default=len(ORDER),
    )


def highest(texts: Sequence[Text]) -> list[Text]:
    """Each text once, in order; of equal ones the first of the highest confidence."""
    return [
        max((other for other in texts if other == one), key=lambda other: other.confidence)
        for place, one in enumerate(texts)
        if one not in texts[:place]
    ]


def site_of(page: str) -> str:
    """The last two labels of the page's host, or an address with its port."""
    host = page.split("/")[2]
    return host if ":" in host else ".".join(host.split(".")[-2:])


def find_furniture(
    good: Sequence[Row], every: Sequence[Row], corpus: Corpus, pages: int, share: float
) -> None:
    """Adds the pages of a generation and its furniture to `corpus`."""
    contents = {row.url: row.sha256 for row in good}
    for row in every:
        site = site_of(row.page_url)
        corpus.pages[site, ""].add(row.page_url)
        if row.url in contents:
            corpus.pages[site, contents[row.url]].add(row.page_url)
    for (site, sha), found in corpus.pages.items():
        most = len(found) > share * len(corpus.pages[site, ""])
        always = len(found) > (10 * pages if share else pages)
        if sha in contents.values() and len(found) > pages and (most or always):
            corpus.furniture.add(sha)


def dedupe(  # noqa: C901 -- one loop after the other, so that it reads as the rule
    rows: Sequence[Row],
    corpus: Corpus,
    *,
    radius: int = 4,
    pdq_bits: int = 31,
    levels: int = 12,
    max_same_text: int = 1000,
    merge: bool = True,
    max_site_pages: int = 0,
    min_site_share: float = 0,
    others: Sequence[Row] = (),
) -> Generation:
    """Decisions about one generation, which is then added to `corpus`."""
    outcomes = [Outcome("") for _ in rows]
    good = []
    for number, row in enumerate(rows):
        if row.url in corpus.urls:
            outcomes[number] = Outcome("duplicate", corpus.urls[row.url])
        elif row.reason:
            outcomes[number] = Outcome(row.reason)
        else:
            good.append(number)
    # The rule on frequent texts.
    pairs = {(rows[n].sha256, text) for n in good for _, text in rows[n].texts}
    counts: dict[str, int] = defaultdict(int, corpus.texts)
    for _, text in pairs:
        counts[text] += 1
    left = {
        n: [one for one in typed_texts(rows[n]) if counts[one.text] <= max_same_text] for n in good
    }
    if max_site_pages:
        every = [*rows, *others]
        find_furniture([rows[n] for n in good], every, corpus, max_site_pages, min_site_share)
    for n in good:
        if rows[n].sha256 in corpus.furniture:
            outcomes[n] = Outcome("furniture")
        elif rank(left[n]) == len(ORDER):
            outcomes[n] = Outcome(
                "text_frequency" if len(left[n]) < len(rows[n].texts) else "no_caption"
            )
    live = [n for n in good if not outcomes[n].reason]
    # Copies (URLs), then images (bytes).
    copies: dict[str, list[int]] = defaultdict(list)
    for n in live:
        copies[rows[n].url].append(n)

    def copy_rank(url: str) -> int:
        return min(rank(left[n]) for n in (copies[url] if merge else copies[url][:1]))

    def key(url: str) -> str:
        return sample_key(url, rows[copies[url][0]].sha256)

    images: dict[str, list[str]] = defaultdict(list)
    for url in copies:
        images[rows[copies[url][0]].sha256].append(url)
    best = {
        sha: min(urls, key=lambda url: (copy_rank(url), key(url))) for sha, urls in images.items()
    }

    def row_of(sha: str) -> Row:
        return rows[copies[best[sha]][0]]

    def keep_order(sha: str) -> tuple[int, int, str]:
        return -row_of(sha).width * row_of(sha).height, copy_rank(best[sha]), key(best[sha])

    def same(one: bytes, other: bytes) -> bool:
        return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= levels

    order = sorted(images, key=keep_order)
    decision: dict[str, Outcome] = {}
    winner: dict[str, str] = {}
    for sha in order:
        row = row_of(sha)
        for generation in corpus.images:
            for their_sha, their_key, phash, pdq, colours in sorted(
                generation, key=lambda one: one[1]
            ):
                far = (row.phash ^ phash).bit_count(), (row.pdq ^ pdq).bit_count()
                if their_sha == sha:
                    decision[sha] = Outcome("duplicate", their_key, (0, 0))
                elif (
                    sha not in decision
                    and far[0] <= radius
                    and far[1] <= pdq_bits
                    and same(row.colours, colours)
                ):
                    decision[sha] = Outcome("near_duplicate", their_key, far)
    for sha in order:
        if sha in decision:
            continue
        decision[sha] = Outcome("")
        for other in order:
            far = (
                (row_of(sha).phash ^ row_of(other).phash).bit_count(),
                (row_of(sha).pdq ^ row_of(other).pdq).bit_count(),
            )
            close = (
                far[0] <= radius
                and far[1] <= pdq_bits
                and same(row_of(sha).colours, row_of(other).colours)
            )
            if other not in decision and close:
                decision[other] = Outcome("near_duplicate", key(best[sha]), far)
                winner[other] = sha
    groups: dict[str, list[int]] = defaultdict(list)
    for n in live:
        sha = rows[n].sha256
        if decision[sha].reason:
            outcomes[n] = decision[sha]
        elif n != copies[best[sha]][0]:
            outcomes[n] = Outcome("duplicate", key(best[sha]), (0, 0))
        if not decision[sha].reason or sha in winner:
            groups[winner.get(sha, sha)].append(n)
    kept = {}
    for sha, members in groups.items():
        first = copies[best[sha]][0]
        members = [first, *(n for n in members if n != first)]
        texts = list(left[first])
        if merge and len(members) > 1:
            texts = highest([one for n in members for one in left[n]])
        caption = next(
            one.text
            for kind in ORDER
            for one in texts
            if one.type == kind and one.confidence >= 0.5
        )
        signals = {one for n in members for one in rows[n].opt_out + rows[n].fetched_opt_out}
        kept[first] = (key(best[sha]), caption, texts, sorted(signals))
    corpus.images.append(
        [
            (sha, key(best[sha]), row_of(sha).phash, row_of(sha).pdq, row_of(sha).colours)
            for sha in groups
        ]
    )
    for n in live:
        corpus.urls[rows[n].url] = outcomes[n].duplicate_of or key(rows[n].url)
    for _, text in pairs:
        corpus.texts[text] += 1
    return Generation(outcomes, kept)
