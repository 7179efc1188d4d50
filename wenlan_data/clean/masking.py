"""Masks contact data in what is published beside the captions: author, licence, path of a file,
detail of a drop."""

import re
from functools import lru_cache

from wenlan_data.clean.rules.contact_info import ContactInfo
from wenlan_data.clean.rules.fold import Fold
from wenlan_data.records import Drop

_FOLD, _CONTACT_INFO = Fold(), ContactInfo(action="mask")

# A host of ASCII labels that ends in a top-level domain (`cn`, `xn--fiqs8s`), or an address. A name
# before the host (`https://zhang@a.cn/`) is that of a person.
_URL = re.compile(
    r"https?://(?:[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,20}?"
    r"\.(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})"
    r"|localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]{2,45}\])\.?(?::\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE | re.ASCII,
)


# The images of a page have the same author and licence.
@lru_cache(maxsize=1024)
def mask_contact_info(text: str) -> str:
    """Returns the text with telephone numbers, addresses and the like replaced as in captions.

    >>> mask_contact_info("张三 13812345678")
    '张三 [手机]'
    """
    folded = _FOLD(text)
    masked = _CONTACT_INFO(folded) if isinstance(folded, str) else folded
    # Where nothing is masked the text stays as it was written. Both rules never reject.
    return text if isinstance(masked, Drop) or masked == folded else masked


def mask_unless_url(text: str) -> str:
    """Returns an http or https URL unchanged, so that it can still be opened, and any other text as
    `mask_contact_info` does.

    >>> mask_unless_url("https://example.org/13812345678.jpg")
    'https://example.org/13812345678.jpg'
    >>> mask_unless_url("https://张三13812345678")
    'https://张三[手机]'
    """
    return text if _is_url(text) else mask_contact_info(text)


def mask_author(text: str) -> str:
    """Returns the name of an author as it is published: on one line, contact data masked.

    >>> mask_author("张三\\x1b[31m 13812345678")
    '张三 [31m [手机]'
    """
    return mask_contact_info(_to_line(text))


def mask_licence(text: str) -> str:
    """Returns the URL or the words of a licence as they are published: on one line, contact data
    masked outside of URLs."""
    return mask_unless_url(_to_line(text))


def _is_url(text: str) -> bool:
    # A text with characters that are not printable, such as those that change the direction of
    # writing, is no URL.
    return text.isprintable() and _URL.fullmatch(text) is not None


def _to_line(text: str) -> str:
    """The text with each run of white space and control characters as one space."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
