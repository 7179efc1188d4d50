"""Findings of the report: shares that are unusually large or small, each with advice."""

from collections.abc import Iterator
from dataclasses import dataclass

from wenlan_data.reasons import is_transient
from wenlan_data.report.charts import share_below
from wenlan_data.report.data import CorpusStatistics, ReportData
from wenlan_data.shard.manifest import Funnel

MIN_SAMPLES = 20
"""Shares of fewer samples mean little; only opt-outs and missing parts are reported then."""


@dataclass(frozen=True, slots=True)
class ReportFinding:
    """A figure that deserves attention, and what to do about it."""

    text: str
    advice: str


def report_findings(report: ReportData) -> tuple[ReportFinding, ...]:
    """Returns the findings about a corpus, the most serious first."""
    statistics = report.statistics
    found = [*_opt_outs(statistics), *_missing(statistics)]
    if statistics.samples >= MIN_SAMPLES:
        found += [*_captions(statistics), *_images(statistics), *_origins(statistics)]
    if report.manifest is not None and report.manifest.funnel.candidates >= MIN_SAMPLES:
        found += _funnel(report.manifest.funnel.last_outcomes())
    return tuple(found)


def _opt_outs(statistics: CorpusStatistics) -> Iterator[ReportFinding]:
    marked = sum(statistics.opt_outs.values())
    if marked:
        yield ReportFinding(
            f"{_number(marked)} opt-out signals were found on samples of the corpus.",
            "Sites set them to refuse machine learning. The column opt_out of "
            "metadata/ identifies the samples.",
        )


def _missing(statistics: CorpusStatistics) -> Iterator[ReportFinding]:
    no_size = statistics.samples - statistics.short_side_px.total()
    no_caption = statistics.caption_chars[0]
    if no_size:
        yield ReportFinding(
            f"{_number(no_size)} samples have no image whose size can be read.",
            "Readers that decode images will fail on them, or skip them.",
        )
    if no_caption:
        yield ReportFinding(
            f"{_number(no_caption)} samples have no caption.",
            "Readers that expect a .txt member will fail on them.",
        )


def _captions(statistics: CorpusStatistics) -> Iterator[ReportFinding]:
    samples = statistics.samples
    titles = max(statistics.titles_as_captions, statistics.caption_types["page_title"])
    if titles > 0.2 * samples:
        yield ReportFinding(
            f"{_share(titles, samples)} of captions are the page title.",
            "A title describes the page rather than the image: put page_title last in "
            "text.caption, or remove it.",
        )
    repeated = {text: count for text, count in statistics.captions.items() if count > 1 and text}
    repetitions = sum(repeated.values())
    if repetitions > 0.1 * samples:
        caption, count = max(repeated.items(), key=lambda entry: (entry[1], entry[0]))
        yield ReportFinding(
            f"{_share(repetitions, samples)} of samples share their caption with another sample; "
            f"the most frequent one occurs {_number(count)} times: “{caption[:40]}”.",
            "A text that stands under many images teaches a model nothing: lower "
            "text.max_same_text.",
        )
    short = share_below(statistics.caption_chars, 5)
    if short > 0.2:
        yield ReportFinding(
            f"{short:.0%} of captions have fewer than 5 characters.",
            "Raise min of the text rule length.",
        )


def _images(statistics: CorpusStatistics) -> Iterator[ReportFinding]:
    small = share_below(statistics.short_side_px, 224)
    if small > 0.4:
        yield ReportFinding(
            f"{small:.0%} of images are below 224 px on their shorter side.",
            "Most image towers take 224 to 380 px: raise image.min_side_px if enough samples "
            "remain.",
        )


def _origins(statistics: CorpusStatistics) -> Iterator[ReportFinding]:
    hosts = statistics.image_hosts
    if len(hosts) > 1:
        host, count = max(hosts.items(), key=lambda entry: (entry[1], entry[0]))
        if count > 0.6 * statistics.samples and host:
            yield ReportFinding(
                f"{_share(count, statistics.samples)} of images come from one host: {host[:80]}.",
                "Its subjects and its style of captions will dominate what a model learns.",
            )
    unknown = statistics.licences[""]
    if unknown > 0.9 * statistics.samples:
        subject = (
            "No sample states"
            if unknown == statistics.samples
            else f"{_share(unknown, statistics.samples)} of samples lack"
        )
        yield ReportFinding(
            f"{subject} a licence.",
            "Check the sources before you distribute the corpus: the column licence of metadata/ "
            "holds what pages state.",
        )


def _funnel(funnel: Funnel) -> Iterator[ReportFinding]:
    losses = {
        (step, reason): count
        for step, reasons in funnel.dropped.items()
        for reason, count in reasons.items()
    }
    if losses and funnel.samples < 0.2 * funnel.candidates:
        (step, reason), count = max(losses.items(), key=lambda entry: (entry[1], entry[0]))
        yield ReportFinding(
            f"Only {_share(funnel.samples, funnel.candidates)} of candidates became samples; "
            f"{reason} in {step} alone dropped {_share(count, funnel.candidates)}.",
            "Check its examples below: should these be dropped?",
        )
    transient = sum(count for (_, reason), count in losses.items() if is_transient(reason))
    if transient > 0.05 * funnel.candidates:
        yield ReportFinding(
            f"{_share(transient, funnel.candidates)} of candidates failed for transient reasons.",
            "The same command with --retry-failed tries them again.",
        )


def _share(part: int, whole: int) -> str:
    share = part / max(1, whole)
    return f"{share:.0%}" if share >= 0.01 else f"{share:.2%}"


def _number(value: int) -> str:
    return f"{value:,}"
