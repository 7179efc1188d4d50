"""The texts that a page gives its images, in a form that tests compare."""

from wenlan_data.dedupe.captions import choose
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Candidate, Text

PAGE_URL = "http://a.cn/x/p.html"
_ORDER = load_recipe("wenlan").text.caption
_OF_THE_PAGE = {"page_title", "keywords"}


def candidates(html: str) -> dict[str, Candidate]:
    """Returns the candidates of a page by the file name of their image without its ending."""
    return {
        row.url.rpartition("/")[2].partition(".")[0]: row
        for row in page_pairs(html, PAGE_URL)
        if isinstance(row, Candidate)
    }


def texts(html: str, name: str = "1") -> list[Text]:
    """Returns the texts of one image, without those of the whole page."""
    return [text for text in candidates(html)[name].texts if text.type not in _OF_THE_PAGE]


def captions(html: str) -> dict[str, str]:
    """Returns the caption of each image by the order of the recipe `wenlan`; empty for none."""
    return {
        name: choose([text for text in one.texts if text.type not in _OF_THE_PAGE], _ORDER)[0]
        for name, one in candidates(html).items()
    }


def reasons(html: str) -> dict[str, str]:
    """Returns why each image is no content; empty for a content image."""
    return {
        name: one.no_content.reason if one.no_content else ""
        for name, one in candidates(html).items()
    }
