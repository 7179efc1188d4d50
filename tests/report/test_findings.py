from collections import Counter

import pytest

from wenlan_data.report.data import Material, Tally
from wenlan_data.report.findings import remarks


def _said(**counts: object) -> str:
    tally = Tally(samples=100, licences=Counter({"CC0": 100}))
    for name, value in counts.items():
        setattr(tally, name, value)
    if "short_side_px" not in counts:
        tally.short_side_px[500] = tally.samples
    material = Material(name="a", manifest=None, digest="", tally=tally, samples=())
    return " ".join(one.text for one in remarks(material))


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"titles_as_captions": 40}, "40% of captions are the page title."),
        ({"caption_types": Counter({"page_title": 31})}, "31% of captions are the page title."),
        (
            {"captions": Counter({"猫": 12, "狗": 1})},
            "12% of samples share their caption with another",
        ),
        (
            {"caption_chars": Counter({3: 30, 9: 70})},
            "30% of captions have fewer than 5 characters.",
        ),
        ({"captions": Counter({"": 60, "猫": 12})}, "the most frequent one stands 12 times: “猫”"),
        ({"caption_chars": Counter({0: 2, 9: 98})}, "2 samples have no caption."),
        ({"samples": 5, "caption_chars": Counter({0: 2, 9: 3})}, "2 samples have no caption."),
        (
            {"samples": 5, "short_side_px": Counter({500: 4})},
            "1 samples have no picture whose size can be read.",
        ),
        ({"short_side_px": Counter({100: 50, 500: 50})}, "50% of pictures are below 224 px"),
        (
            {"image_hosts": Counter({"a.test": 70, "b.test": 30})},
            "70% of pictures come from one host: a.test.",
        ),
        ({"licences": Counter({"": 95, "CC0": 5})}, "95% of samples lack a licence."),
        ({"licences": Counter({"": 100})}, "No sample states a licence."),
        (
            {"opt_outs": Counter({"X-Robots-Tag: noai": 1})},
            "1 opt-out signals stand on samples that were kept.",
        ),
    ],
)
def test_a_share_that_is_too_large_is_spoken_of(counts: dict[str, object], text: str) -> None:
    assert text in _said(**counts)


def test_an_ordinary_corpus_gets_no_remark() -> None:
    said = _said(
        titles_as_captions=5,
        captions=Counter({str(number): 1 for number in range(100)}),
        caption_chars=Counter({12: 100}),
        short_side_px=Counter({500: 100}),
        image_hosts=Counter({"a.test": 50, "b.test": 50}),
    )
    assert said == ""


def test_of_few_samples_only_opt_outs_are_spoken_of() -> None:
    assert _said(samples=5, titles_as_captions=5) == ""
    assert "opt-out" in _said(samples=5, opt_outs=Counter({"noai": 1}))
