"""URLs: canonical keys, hosts, and which URLs cannot be requested."""

import ipaddress
import re
import unicodedata
from functools import lru_cache
from urllib.parse import urljoin, urlsplit

from w3lib.url import canonicalize_url, safe_url_string

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MAX_URL_CHARACTERS = 2048
MAX_NAME_CHARACTERS, MAX_LABEL_CHARACTERS = 253, 63
DEFAULT_PORTS = {"http": 80, "https": 443}

# Most URLs are of this plain form; they need no parser (0.5 us against 8 us).
_PLAIN = re.compile(r"(https?)://([a-z0-9][a-z0-9.-]*)(?::([1-9][0-9]{0,4}))?(?=[/?#]|$)")
_SENDABLE = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=[/?#]|$)", re.IGNORECASE)
_QUERY = re.compile(r"[?#]")
_NETLOC_END = re.compile(r"[/?#]")
# The last label of a host that is an IPv4 address in some spelling: 127.0.0.1, 0x7f.1, 2130706433.
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Everything between a scheme or `//` and the last @ of the authority; some parsers accept `\` for
# `/`, none or many slashes, and an escaped @.
_AT = "(?:[@＠﹫]|%40)"
_USER_INFORMATION = re.compile(
    rf"\A(\s*(?:[a-z][a-z0-9+.-]*:[/\\]*|[/\\]{{2,}}))[^/?#]*{_AT}", re.IGNORECASE
)
_ANY_AT = re.compile(_AT)
_REMOVED_BY_BROWSERS = dict.fromkeys(map(ord, "\t\r\n"))
_UP_TO_LAST_AT = re.compile(
    rf"\A(\s*(?:https?:[/\\]*|[/\\]{{2,}})).*{_AT}", re.IGNORECASE | re.DOTALL
)


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
    # w3lib keeps `:80`, a final dot of the host, user information and spellings of an address.
    return _with_host(key, host)


# One request looks at the host of its URL eight times.
@lru_cache(maxsize=4096)
def host_of(url: str) -> str:
    """`host:port` of the URL, lower case, punycode, port always written; empty if there is none.

    An IP address has one form however it is spelled, so that every rule about a host sees the
    address that would be dialled.

    >>> host_of("http://0x7f.1/"), host_of("http://[2400:0:0::1]/"), host_of("http://1.2.3.4.5/")
    ('127.0.0.1:80', '[2400::1]:80', '')
    """
    if found := _PLAIN.match(url):
        port = found[3] or DEFAULT_PORTS[found[1]]
        name = _canonical_name(found[2])
        return f"{name}:{port}" if name and int(port) < 65536 else ""
    try:
        parts = urlsplit(url.strip())
        default = DEFAULT_PORTS.get(parts.scheme)
        hostname, number = parts.hostname, parts.port or default
    except ValueError:
        return ""
    name = _ascii_name(hostname) if hostname and default is not None else ""
    return f"{name}:{number}" if name else ""


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
    """The URL as sent: ASCII, other escapes unchanged, without dot segments and fragment.

    Raises `ValueError` for a URL that cannot be encoded.

    >>> sendable("http://a.cn/x/%2e%2E/private/./1.jpg?q=../y#part")
    'http://a.cn/private/1.jpg?q=../y'
    """
    # The host as the rules saw it: another parser may read another address out of `0x7f.1`.
    host = host_of(url)
    if not host:
        raise ValueError("no host")
    url = url.strip().partition("#")[0]
    if not _SENDABLE.fullmatch(url):
        url = str(safe_url_string(url))
        if host_of(url) != host:
            raise ValueError("two hosts")
    return _without_dot_segments(_with_host(url, host))


@lru_cache(maxsize=4096)
def as_sent(url: str) -> str:
    """The URL that a site's rules are compared with: `sendable`, or the URL itself where it cannot
    be sent."""
    try:
        return sendable(url)
    except (ValueError, UnicodeError):
        return url


def _without_dot_segments(url: str) -> str:
    """Removes `.` and `..` from the path, also where their dots are escaped, as browsers do (RFC
    3986, 5.2.4): servers do the same, and a rule for `/private/` would miss `/x/../private/`."""
    if not _DOT_SEGMENT.search(url):
        return url
    start, question, query = url.partition("?")
    scheme, _, rest = start.partition("://")
    netloc, _, path = rest.partition("/")
    kept: list[str] = []
    segments = path.split("/")
    for number, segment in enumerate(segments):
        dots = segment.lower().replace("%2e", ".")
        if dots not in (".", ".."):
            kept.append(segment)
            continue
        if dots == ".." and kept:
            kept.pop()
        if number == len(segments) - 1:
            kept.append("")
    return f"{scheme}://{netloc}/{'/'.join(kept)}{question}{query}"


def without_user_information(url: str) -> str:
    """The URL without what stands before an `@` in its authority, otherwise unchanged.

    Such URLs are never requested; a name and a password in them must not be published either.

    >>> without_user_information("ftp://me:secret@a.cn/x@2.jpg")
    'ftp://a.cn/x@2.jpg'
    """
    if not _ANY_AT.search(url):
        return url
    # Browsers remove these from a URL before they read it.
    url = url.translate(_REMOVED_BY_BROWSERS)
    stripped = _USER_INFORMATION.sub(r"\1", url, count=1)
    # A password with a slash: the authority seems to end before it.
    return stripped if host_of(stripped) else _UP_TO_LAST_AT.sub(r"\1", stripped, count=1)


def joined(base: str, reference: str) -> str:
    r"""The absolute URL of a reference in a page, as browsers read it: `\` is a slash in front of
    the query.

    Raises `ValueError` for a reference that is no URL.

    >>> joined("http://a.cn/x/", r"\\b.cn\1.jpg?q"), joined("http://a.cn/x/", "2.jpg")
    ('http://b.cn/1.jpg?q', 'http://a.cn/x/2.jpg')
    """
    if "\\" in reference:
        end = _QUERY.search(reference)
        at = end.start() if end else len(reference)
        reference = reference[:at].replace("\\", "/") + reference[at:]
    return urljoin(base, reference)


def _with_host(url: str, host: str) -> str:
    """A URL with this `host:port`, whose port is left out where it is the scheme's."""
    scheme, _, rest = url.partition("://")
    end = _NETLOC_END.search(rest)
    name, _, port = host.rpartition(":")
    scheme = scheme.lower()
    netloc = name if int(port) == DEFAULT_PORTS[scheme] else host
    return f"{scheme}://{netloc}{rest[end.start() :] if end else ''}"


@lru_cache(maxsize=4096)
def _ascii_name(name: str) -> str:
    """The canonical form of a host without its port; empty where it is none."""
    if ":" in name:
        try:
            # No zone: `fe80::1%eth0` names an interface of our machine.
            return "" if "%" in name else f"[{ipaddress.IPv6Address(name).compressed}]"
        except ValueError:
            return ""
    if not name.isascii():
        # Before it is divided into labels, as browsers do: `⒈` becomes a digit and a dot.
        name = re.sub("[。．｡]", ".", unicodedata.normalize("NFKC", name))
    # Before it is encoded, which takes quadratic time.
    if _is_too_long(name):
        return ""
    try:
        ascii_name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    ascii_name = ascii_name.lower()
    return "" if re.search(r"[^a-z0-9._-]", ascii_name) else _canonical_name(ascii_name)


def _canonical_name(name: str) -> str:
    """An ASCII name without its final dot; an IPv4 address in dotted decimal; empty where the last
    label is a number and the whole is no address, or where a label is empty."""
    name = name.removesuffix(".")
    if _is_too_long(name):
        return ""
    if _NUMERIC_LABEL.fullmatch(name.rpartition(".")[2]):
        return _ipv4(name)
    return "" if ".." in name or name[:1] == "." or name[-1:] == "." else name


def _is_too_long(name: str) -> bool:
    """Whether no name server can know a name (RFC 1035, 2.3.4)."""
    name = name.removesuffix(".")
    return len(name) > MAX_NAME_CHARACTERS or (
        len(name) > MAX_LABEL_CHARACTERS and max(map(len, name.split("."))) > MAX_LABEL_CHARACTERS
    )


def _ipv4(name: str) -> str:
    """The dotted decimal form of an IPv4 address as the URL standard of browsers parses it: one to
    four numbers, decimal, octal (`0177`) or hexadecimal (`0x7f`), the last of which fills the rest
    of the 32 bits; empty for anything else."""
    try:
        numbers = [_number(label) for label in name.split(".")]
    except ValueError:
        return ""
    *first, last = numbers
    if len(first) > 3 or max(first, default=0) > 255 or last >= 256 ** (4 - len(first)):
        return ""
    value = last + sum(number << 8 * (3 - place) for place, number in enumerate(first))
    return str(ipaddress.IPv4Address(value))


def _number(label: str) -> int:
    # A label of thousands of digits takes quadratic time to convert; 32 bits have 11 octal digits.
    if len(label) > 32:
        raise ValueError(label)
    if not _NUMERIC_LABEL.fullmatch(label):
        # `int` takes signs, underscores and digits of other scripts.
        raise ValueError(label)
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8) if label.startswith("0") else int(label)
