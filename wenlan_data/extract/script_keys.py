"""What the keys of JSON state name: image, size, text, or an object that is no content."""

import re
from functools import lru_cache

MAX_KEY_CHARACTERS = 60

# Keys are split at capitals, digits and separators: bigPic_url has the words big, pic and url.
_WORD = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z]?[a-z]+|\d+")
_IMAGE = re.compile(r"img|image|photo|(?<!to)pic(?!k)|cover|thumb|poster|^big$|^large$")
_ADDRESS_WORDS = frozenset({"url", "src", "href", "link", "file", "path"})
# Images that show no subject of a text.
_OTHER_IMAGE = re.compile(
    r"avatar|icon|logo|qr(?:code|img|pic|url)?$|^head(?!line)|^face|badge|medal|emoji|emotic|watermark|"
    r"placeholder|^default|^share|sprite|background|^bg"
)
_SIZES = (
    (re.compile(r"thumb|small|mini|tiny|preview|square"), 1),
    (re.compile(r"medium|middle|normal"), 2),
    (re.compile(r"orig|(?<![a-z])raw|full|hires"), 5),
    (re.compile(r"big|large|zoom"), 4),
)
_SIZE_WORDS = {
    **dict.fromkeys(("s", "sm", "xs", "low"), 1), **dict.fromkeys(("m", "md", "mid"), 2),
    **dict.fromkeys(("l", "lg", "xl", "high"), 4), **dict.fromkeys(("hd", "max"), 5),
}  # fmt: skip
_NO_SIZE = 3
_MIN_SIZE_DIGITS = 2
"""Of a number that is a size, as in pic_640; img1 and img2 are two images."""
_SIZE_LISTS = frozenset({
    "sizes", "variants", "formats", "resolutions", "urllist", "urls", "thumbs", "thumbnails",
    "candidates", "srcset", "sources", "imageversions",
})  # fmt: skip

_CAPTION_WORDS = frozenset({
    "desc", "description", "descr", "note", "caption", "summary", "intro", "introduction", "digest",
    "abstract", "explain", "memo", "remark", "brief", "comment", "picdesc", "imgdesc", "picnote",
})  # fmt: skip
_TITLE_WORDS = frozenset(
    {"title", "name", "subject", "headline", "pictitle", "imgtitle", "subtitle", "picname"}
)
_CONTENT_WORDS = frozenset({"text", "content", "body", "detail", "txt", "words"})
_NOT_OF_IMAGE = frozenset(
    {"brand", "nick", "source", "media", "class", "button", "btn", "copyright", "file"}
)
"""Words of keys whose text is no text of the image beside it: nick_name, source_name, button_text."""

_LEFT_OUT = frozenset({
    "user", "users", "userinfo", "author", "authors", "avatar", "owner", "creator", "member",
    "members", "account", "profile", "editor", "fans", "followers", "ad", "ads", "adv", "advert",
    "adverts", "advertisement", "sponsor", "promotion", "promotions", "tag", "tags", "label",
    "labels", "shop", "store", "seller", "merchant", "logo", "icon", "icons", "qr", "qrcode",
    "share", "seo", "site", "nav", "navs", "menu", "menus", "footer", "header", "channel",
    "channels", "category", "categories", "emoji", "publisher",
})  # fmt: skip
_USER_KEYS = frozenset({
    "avatar", "avatarurl", "nick", "nickname", "uid", "userid", "username", "screenname", "user",
    "gender", "headimg", "headimgurl", "headurl", "headpic", "openid",
})  # fmt: skip
_AD_KEYS = frozenset({"isad", "adid", "adtype", "adurl", "issponsored"})


def is_left_out(key: str) -> bool:
    """Whether an object or array under this key is no content: people, advertisements, tags, shops,
    the site itself."""
    words = _key_words(key)
    return "".join(words) in _LEFT_OUT or not _LEFT_OUT.isdisjoint(words)


def is_user_key(key: str) -> bool:
    """Whether a number or string under this key makes its object one about a user."""
    return "".join(_key_words(key)) in _USER_KEYS


def is_ad_key(key: str) -> bool:
    """Whether the key makes its object an advertisement where its value is true."""
    return "".join(_key_words(key)) in _AD_KEYS


def names_image(key: str) -> bool:
    """Whether the key alone says that its value is the address of an image."""
    return bool(_IMAGE.search("".join(_key_words(key))))


def names_address(key: str) -> bool:
    """Whether the key names an address, of an image or of anything else."""
    return not _ADDRESS_WORDS.isdisjoint(_key_words(key))


def names_other_image(key: str) -> bool:
    """Whether the key is that of an avatar, an icon, a logo or the like."""
    return bool(_OTHER_IMAGE.search("".join(_key_words(key))))


@lru_cache(maxsize=4096)
def size_of_key(key: str) -> tuple[float, bool]:
    """Returns the size that a key names (1 to 6, the larger the better), and whether it names one.

    >>> size_of_key("thumb_160")[0] < size_of_key("image_url")[0] < size_of_key("originPic")[0]
    True
    """
    words = _key_words(key)
    joined = "".join(words)
    digits = [word for word in words if word.isdigit() and len(word) >= _MIN_SIZE_DIGITS]
    number = min(int(digits[0][:6]) / 1e6, 0.9) if digits else 0.0
    for pattern, size in _SIZES:
        if pattern.search(joined):
            return size + number, True
    sizes = [_SIZE_WORDS[word] for word in words if word in _SIZE_WORDS]
    return (sizes[0] if sizes else _NO_SIZE) + number, bool(sizes or digits)


def is_size_list(key: str) -> bool:
    """Whether an array or object under this key holds one image in several sizes or at several
    addresses."""
    return "".join(_key_words(key)) in _SIZE_LISTS


def text_type_of_key(key: str) -> str:
    """Returns `alt`, `figcaption`, `title` or `content` for the key of a text; empty for another.

    >>> text_type_of_key("picDesc"), text_type_of_key("imgTitle"), text_type_of_key("shopName")
    ('figcaption', 'title', '')
    """
    words = set(_key_words(key))
    words.add("".join(_key_words(key)))
    if is_left_out(key) or is_user_key(key) or not _NOT_OF_IMAGE.isdisjoint(words):
        return ""
    for kind, own in (
        ("alt", {"alt"}),
        ("figcaption", _CAPTION_WORDS),
        ("title", _TITLE_WORDS),
        ("content", _CONTENT_WORDS),
    ):
        if not words.isdisjoint(own):
            return kind
    return ""


@lru_cache(maxsize=4096)
def _cached_words(key: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORD.findall(key))


def _key_words(key: str) -> tuple[str, ...]:
    # Long keys are no names: identifiers, addresses, whole texts.
    return _cached_words(key) if len(key) <= MAX_KEY_CHARACTERS else ()
