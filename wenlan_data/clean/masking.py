"""Masks contact data in what a sample states beside its texts: author, licence, path of a file."""

from functools import lru_cache

from wenlan_data.clean.rules.contact_info import ContactInfo
from wenlan_data.clean.rules.fold import Fold
from wenlan_data.records import Drop

_FOLD, _CONTACT_INFO = Fold(), ContactInfo(action="mask")


# The images of a page have the same author and licence.
@lru_cache(maxsize=1024)
def mask_contact_info(text: str) -> str:
    """Returns the text with telephone numbers, addresses and the like replaced as in captions.

    An http or https URL is returned unchanged, so that it can still be opened.

    >>> mask_contact_info("张三 13812345678")
    '张三 [手机]'
    >>> mask_contact_info("https://example.org/13812345678.jpg")
    'https://example.org/13812345678.jpg'
    """
    if text[:8].lower().startswith(("http://", "https://")) and " " not in text:
        return text
    folded = _FOLD(text)
    masked = _CONTACT_INFO(folded) if isinstance(folded, str) else folded
    # Where nothing is masked the text stays as it was written. Both rules never reject.
    return text if isinstance(masked, Drop) or masked == folded else masked
