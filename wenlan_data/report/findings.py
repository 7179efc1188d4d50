"""What a careful reader of the figures would say: shares that are too large or too small, each with what to do."""

from collections.abc import Iterator
from dataclasses import dataclass

from wenlan_data.report.charts import share_below
from wenlan_data.report.data import Material, Tally
from wenlan_data.shard.manifest import Funnel

FEW = 20
"""Shares of fewer samples say little; only opt-outs and what is missing are spoken of."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A figure that is worth a thought."""

    text: str
    advice: str


def remarks(material: Material) -> tuple[Remark, ...]:
    """The remarks that hold, the gravest first."""
    tally = material.tally
    found = [*_opt_outs(tally), *_missing(tally)]
    if tally.samples >= FEW:
        found += [*_captions(tally), *_pictures(tally), *_origins(tally)]
    if material.manifest is not None and material.manifest.funnel.candidates >= FEW:
        found += _funnel(material.manifest.funnel)
    return tuple(found)


def _opt_outs(tally: Tally) -> Iterator[Remark]:
    marked = sum(tally.opt_outs.values())
    if marked:
        yield Remark(
            f"{_number(marked)} opt-out signals stand on samples that were kept.",
            "Sites set them to say no to machine learning. The column opt_out of metadata/ names the samples.",
        )


def _missing(tally: Tally) -> Iterator[Remark]:
    unseen, empty = tally.samples - tally.short_side_px.total(), tally.caption_chars[0]
    if unseen:
        yield Remark(
            f"{_number(unseen)} samples have no picture whose size can be read.",
            "Readers that decode pictures will fail at them, or skip them.",
        )
    if empty:
        yield Remark(
            f"{_number(empty)} samples have no caption.",
            "Readers that expect a .txt member will fail at them.",
        )


def _captions(tally: Tally) -> Iterator[Remark]:
    samples = tally.samples
    titles = max(tally.titles_as_captions, tally.caption_types["page_title"])
    if titles > 0.2 * samples:
        yield Remark(
            f"{_share(titles, samples)} of captions are the page title.",
            "A title speaks of the page, not of the picture: put page_title last in text.caption, or leave it out.",
        )
    often = {caption: count for caption, count in tally.captions.items() if count > 1 and caption}
    repeated = sum(often.values())
    if repeated > 0.1 * samples:
        caption, count = max(often.items(), key=lambda item: (item[1], item[0]))
        yield Remark(
            f"{_share(repeated, samples)} of samples share their caption with another; "
            f"the most frequent one stands {_number(count)} times: “{caption[:40]}”.",
            "The same text under many pictures teaches nothing: lower text.max_same_text.",
        )
    short = share_below(tally.caption_chars, 5)
    if short > 0.2:
        yield Remark(
            f"{short:.0%} of captions have fewer than 5 characters.",
            "Raise min of the rule length.",
        )


def _pictures(tally: Tally) -> Iterator[Remark]:
    small = share_below(tally.short_side_px, 224)
    if small > 0.4:
        yield Remark(
            f"{small:.0%} of pictures are below 224 px on their shorter side.",
            "Most image towers look at 224 to 380 px: raise image.min_side_px if there are enough samples.",
        )


def _origins(tally: Tally) -> Iterator[Remark]:
    hosts = tally.image_hosts
    if len(hosts) > 1:
        host, count = max(hosts.items(), key=lambda item: (item[1], item[0]))
        if count > 0.6 * tally.samples and host:
            yield Remark(
                f"{_share(count, tally.samples)} of pictures come from one host: {host[:80]}.",
                "What it shows, and how it writes captions, will dominate what a model learns.",
            )
    unknown = tally.licences[""]
    if unknown > 0.9 * tally.samples:
        who = (
            "No sample states"
            if unknown == tally.samples
            else f"{_share(unknown, tally.samples)} of samples lack"
        )
        yield Remark(
            f"{who} a licence.",
            "Look at the sources before you hand the corpus on: the column licence of metadata/ has what pages state.",
        )


def _funnel(funnel: Funnel) -> Iterator[Remark]:
    losses = {
        (step, name): count for step, some in funnel.dropped.items() for name, count in some.items()
    }
    if losses and funnel.samples < 0.2 * funnel.candidates:
        (step, name), count = max(losses.items(), key=lambda item: (item[1], item[0]))
        yield Remark(
            f"Only {_share(funnel.samples, funnel.candidates)} of candidates became samples; "
            f"{name} in {step} alone took {_share(count, funnel.candidates)}.",
            "See its examples below: is it what you want to leave out?",
        )
    passing = sum(
        count
        for (_, name), count in losses.items()
        if name in {"timeout", "host_unreachable", "status_5xx", "host_waits", "robots_unavailable"}
    )
    if passing > 0.05 * funnel.candidates:
        yield Remark(
            f"{_share(passing, funnel.candidates)} of candidates failed in a way that may pass.",
            "The same command with --retry-failed asks again.",
        )


def _share(part: int, whole: int) -> str:
    share = part / max(1, whole)
    return f"{share:.0%}" if share >= 0.01 else f"{share:.2%}"


def _number(value: int) -> str:
    return f"{value:,}"
