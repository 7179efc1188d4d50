"""Class names, ids and addresses that state what an image is: an avatar, a QR code, a logo.

A certain name has one meaning wherever it is a part of a name: `post-avatar`, `qrcode_box`. A plain
word such as `author` or `share` has other meanings in longer names (`author-story`,
`needInitShare`), and counts as the whole name only.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from wenlan_data.extract.image_urls import is_data_uri
from wenlan_data.reasons import Reason

MAX_ADDRESS_CHARACTERS = 120
"""At the end of the path of an address, in which names are searched."""

_CERTAIN: tuple[tuple[Reason, frozenset[str]], ...] = (
    (Reason.AVATAR, frozenset("""
        avatar avatars avator touxiang gravatar uface facepic headimg headpic headportrait
        noavatar
    """.split())),
    (Reason.QR_CODE, frozenset("""
        qr qrcode ewm erweima qrimg qrpic qrcodeimg wxcode weixincode wechatcode
    """.split())),
    (Reason.LOGO, frozenset("logo sitelogo weblogo".split())),
)  # fmt: skip
_PLAIN: tuple[tuple[Reason, frozenset[str]], ...] = (
    (Reason.ADVERTISEMENT, frozenset("""
        ad ads adv advert advertisement adsbygoogle guanggao gg sponsor adimg adpic adbox
        article-ad
    """.split())),
    (Reason.SHARE_BUTTON, frozenset("share bdshare jiathis fenxiang share-icon".split())),
    (Reason.ICON, frozenset("icon icons ico iconfont spacer emoji emoticon smiley arrow".split())),
    (Reason.AVATAR, frozenset("""
        author user face profile publisher writer authi agent broker seller
    """.split())),
)  # fmt: skip
# Names that consist of a person and of these: author-card, userCard_o, up-face-image.
_PERSON = re.compile(
    r"(?:author|user|blogger|broker|agent|owner|uploader|publisher|profile|up(?=\Z))",
    re.IGNORECASE,
)
_PORTRAIT = frozenset(
    "face head img image pic picture photo portrait thumb icon avatar pto".split()
)
_FACE = frozenset("face head portrait avatar thumb pto".split())
"""Of `_PORTRAIT`, those that are no other image of a person: user-photo may be what a user took."""
_PERSON_BOX = frozenset("""
    info card box block wrap wrapper container area bar name detail side index note post p c
    recipe answer article
""".split())  # fmt: skip
# Names of folders.
_FOLDERS: tuple[tuple[Reason, frozenset[str]], ...] = (
    (Reason.AVATAR, frozenset("""
        avatar avatars headimg headpic userface touxiang gravatar uface
    """.split())),
    (Reason.QR_CODE, frozenset("qrcode qrcodes ewm erweima".split())),
    (Reason.ADVERTISEMENT, frozenset("ads adv advert adimg guanggao".split())),
    (Reason.LOGO, frozenset("logo logos sitelogo".split())),
    (Reason.ICON, frozenset("icon icons ico emoji emoticon smiley smilies".split())),
)  # fmt: skip
# First or last part of the name of a file or a folder: touxiang_big, logo207b62df.png.
_ENDS: tuple[tuple[Reason, frozenset[str]], ...] = (
    (Reason.AVATAR, frozenset("avatar touxiang gravatar uface noavatar".split())),
    (Reason.QR_CODE, frozenset("qr qrcode ewm erweima".split())),
    (Reason.ADVERTISEMENT, frozenset("guanggao".split())),
    (Reason.LOGO, frozenset("logo sitelogo".split())),
)  # fmt: skip
_FOLDER_REASONS = {name: reason for reason, names in reversed(_FOLDERS) for name in names}
_END_REASONS = {name: reason for reason, names in reversed(_ENDS) for name in names}
_ICON_FILE = re.compile(
    r"(?:icons?|ico|emoji|emoticon|smiley)(?![a-z])|.*[_\-](?:icon|ico)(?=[_\-.]?\d*\.)"
)
_ICON_FORMATS = (".png", ".gif", ".svg", ".ico")
"""Photographs have others: icon_2.jpg may show a painting."""
_SEPARATORS = re.compile(r"[_\-:.]+|\d+")
# Qr7tUaLp: two letters before a digit and a letter are part of a digest.
_DIGEST_START = re.compile(r"(?<![^\W_])[a-z]{1,2}(?=\d+[a-z])")
_CAMEL = re.compile(r"[_\-:.\d]+|(?<=[a-z])(?=[A-Z])")
# index_author__3cF2: what a build tool adds to a name.
_DIGEST = re.compile(r"(?:__|_(?=[^_]*[\dA-Z])|_(?=[a-z]\Z))[A-Za-z0-9]{1,6}\Z")


class Name(NamedTuple):
    """A name that states what an image is."""

    reason: Reason
    name: str
    is_certain: bool
    is_word: bool = False
    """Whether the whole name is a plain word."""


@lru_cache(maxsize=4096)
def reason_of_names(classes: str) -> Name | None:
    """Returns what class names and ids state, certain names first.

    >>> reason_of_names("img post-avatar").reason.value
    'avatar'
    >>> reason_of_names("author-story") is None
    True
    """
    names = classes[:500].split()
    for name in names:
        parts = set(_parts(name.lower()))
        for reason, words in _CERTAIN:
            if not words.isdisjoint(parts):
                return Name(reason, name, is_certain=True)
    for name in names:
        for reason, words in _PLAIN:
            if name.lower() in words:
                return Name(reason, name, is_certain=False, is_word=True)
        if (is_portrait := _is_portrait(name)) is not None:
            return Name(Reason.AVATAR, name, is_certain=is_portrait)
    return None


def _is_portrait(name: str) -> bool | None:
    """Whether a name is that of a person's portrait; False for the box of a person, else None."""
    parts: list[str] = []
    for part in _CAMEL.split(_DIGEST.sub("", name)):
        found = _PERSON.match(part)
        parts += [found[0].lower(), part[found.end() :].lower()] if found else [part.lower()]
    others = {part for part in parts if part and not _PERSON.fullmatch(part)}
    if not others or len(others) == len(set(filter(None, parts))):
        return None
    if not others <= _PORTRAIT | _PERSON_BOX:
        return None
    if "up" in map(str.lower, parts) and not others & _FACE:
        # up-img is an uploaded image, up-face is the face of who uploaded.
        return None
    return bool(others & _FACE)


def reason_of_address(address: str) -> tuple[Reason, str] | None:
    """Returns what the folders and the file name of an image's address state, and the word.

    >>> reason_of_address("/uploads/avatar/7.jpg")[1]
    'avatar'
    >>> reason_of_address("/museum/russian-icon-painting.jpg") is None
    True
    """
    path = unquote(_path(address))[-MAX_ADDRESS_CHARACTERS:].lower()
    *folders, file = path.split("/")
    for folder in folders:
        if folder in _FOLDER_REASONS:
            return _FOLDER_REASONS[folder], folder
    name = file.partition(".")[0]
    for parts in (*map(_parts, folders), list(filter(None, _SEPARATORS.split(name)))):
        for part in (parts[:1] + parts[-1:]) if parts else ():
            if part in _END_REASONS:
                return _END_REASONS[part], part
    if file.endswith(_ICON_FORMATS) and (found := _ICON_FILE.match(file)):
        return Reason.ICON, found[0]
    return None


def _parts(name: str) -> list[str]:
    """The words of a name in small letters."""
    return [part for part in _SEPARATORS.split(_DIGEST_START.sub("", name)) if part]


def _path(address: str) -> str:
    if is_data_uri(address):
        return ""
    try:
        return urlsplit(address).path
    except ValueError:
        return ""
