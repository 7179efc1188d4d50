"""URLs: canonical keys, hosts, and which URLs cannot be requested."""

import re
from functools import lru_cache
from urllib.parse import urlsplit

from w3lib.url import canonicalize_url, safe_url_string

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MAX_URL_CHARACTERS = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}

# Most URLs are of this plain form; they need no parser (0.5 us against 8 us).
_PLAIN = re.compile(r"(https?)://([a-z0-9][a-z0-9.-]*)(?::([1-9][0-9]{0,4}))?(?=[/?#]|$)")
_SENDABLE = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")


def url_key(url: str) -> str:
    """The canonical URL, independent of dot segments, escapes, query order, default port and
    fragment.

    Escaped bytes stay as they are, so `?q=%D6%D0` (GBK) and `?q=%E4%B8%AD` (UTF-8) are two keys.
    Text that is no URL of a web host is its own key.
    """
    host = host_of(url)
    if not host:
        return url
    try:
        key = str(canonicalize_url(url.strip()))
    except (ValueError, UnicodeError):
        return url
    # w3lib keeps `:80` and a final dot of the host; `host_of` does not.
    scheme, _, rest = key.partition("://")
    end = next((index for index, character in enumerate(rest) if character in "/?#"), len(rest))
    name, _, port = host.rpartition(":")
    netloc = name if int(port) == DEFAULT_PORTS[scheme] else host
    return f"{scheme}://{netloc}{rest[end:]}"


def host_of(url: str) -> str:
    """`host:port` of the URL, lower case, punycode, port always written; empty if there is none."""
    if found := _PLAIN.match(url):
        port = found[3] or DEFAULT_PORTS[found[1]]
        return f"{_without_last_dot(found[2])}:{port}" if int(port) < 65536 else ""
    try:
        parts = urlsplit(url.strip())
        default = DEFAULT_PORTS.get(parts.scheme)
        name, port = parts.hostname, parts.port or default
    except ValueError:
        return ""
    if not name or default is None:
        return ""
    name = _punycode(name)
    return f"{name}:{port}" if name else ""


def url_problem(url: str, max_characters: int = MAX_URL_CHARACTERS) -> Drop | None:
    """The drop of a URL that is never requested (`scheme`, `url_too_long`, `bad_url`), or None."""
    if len(url) > max_characters:
        return Drop(Reason.URL_TOO_LONG, f"{len(url)} characters")
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return Drop(Reason.BAD_URL)
    if parts.scheme not in DEFAULT_PORTS:
        return Drop(Reason.SCHEME, parts.scheme[:20]) if parts.scheme else Drop(Reason.BAD_URL)
    # `https://trusted.example@evil.example/` is meant to deceive; a crawler has no credentials
    # anyway.
    if "@" in parts.netloc:
        return Drop(Reason.BAD_URL, "user information")
    return None if host_of(url) else Drop(Reason.BAD_URL)


def sendable(url: str) -> str:
    """The URL as sent: ASCII, existing escapes unchanged, without the fragment.

    Raises `ValueError` for a URL that cannot be encoded.
    """
    url = url.strip().partition("#")[0]
    if _SENDABLE.fullmatch(url):
        return url
    return str(safe_url_string(url))


def _without_last_dot(name: str) -> str:
    return name.removesuffix(".")


@lru_cache(maxsize=4096)
def _punycode(name: str) -> str:
    if ":" in name:
        return f"[{name}]"
    # Full-width dots, which IDNA treats as dots.
    name = re.sub("[。．｡]", ".", name)
    try:
        ascii_name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return (
        ""
        if re.search(r"[^a-z0-9._-]", ascii_name.lower())
        else _without_last_dot(ascii_name.lower())
    )
