from collections import Counter

import pytest

from wenlan_data.report.data import CorpusStatistics, ReportData
from wenlan_data.report.findings import report_findings


def _findings(**counts: object) -> str:
    statistics = CorpusStatistics(samples=100, licences=Counter({"CC0": 100}))
    for name, value in counts.items():
        setattr(statistics, name, value)
    if "short_side_px" not in counts:
        statistics.short_side_px[500] = statistics.samples
    report = ReportData(name="a", manifest=None, digest="", statistics=statistics, samples=())
    return " ".join(finding.text for finding in report_findings(report))


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"titles_as_captions": 40}, "40% of captions are the page title."),
        ({"caption_types": Counter({"page_title": 31})}, "31% of captions are the page title."),
        (
            {"captions": Counter({"猫": 12, "狗": 1})},
            "12% of samples share their caption with another sample",
        ),
        (
            {"caption_chars": Counter({3: 30, 9: 70})},
            "30% of captions have fewer than 5 characters.",
        ),
        ({"captions": Counter({"": 60, "猫": 12})}, "the most frequent one occurs 12 times: “猫”"),
        ({"caption_chars": Counter({0: 2, 9: 98})}, "2 samples have no caption."),
        ({"samples": 5, "caption_chars": Counter({0: 2, 9: 3})}, "2 samples have no caption."),
        (
            {"samples": 5, "short_side_px": Counter({500: 4})},
            "1 samples have no image whose size can be read.",
        ),
        ({"short_side_px": Counter({100: 50, 500: 50})}, "50% of images are below 224 px"),
        (
            {"image_hosts": Counter({"a.test": 70, "b.test": 30})},
            "70% of images come from one host: a.test.",
        ),
        ({"licences": Counter({"": 95, "CC0": 5})}, "95% of samples lack a licence."),
        ({"licences": Counter({"": 100})}, "No sample states a licence."),
        (
            {"opt_outs": Counter({"X-Robots-Tag: noai": 1})},
            "1 opt-out signals were found on samples of the corpus.",
        ),
    ],
)
def test_an_unusual_share_is_reported(counts: dict[str, object], text: str) -> None:
    assert text in _findings(**counts)


def test_an_ordinary_corpus_has_no_finding() -> None:
    found = _findings(
        titles_as_captions=5,
        captions=Counter({str(number): 1 for number in range(100)}),
        caption_chars=Counter({12: 100}),
        short_side_px=Counter({500: 100}),
        image_hosts=Counter({"a.test": 50, "b.test": 50}),
    )
    assert found == ""


def test_of_few_samples_only_opt_outs_are_reported() -> None:
    assert _findings(samples=5, titles_as_captions=5) == ""
    assert "opt-out" in _findings(samples=5, opt_outs=Counter({"noai": 1}))
