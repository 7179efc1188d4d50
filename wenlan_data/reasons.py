"""Every reason for which a row, page, image or text is left out: its value, its meaning, whether it
is transient."""

from enum import StrEnum


class Reason(StrEnum):
    """Reason of a `records.Drop`: a word that tables, manifests and reports count by.

    Values are part of the corpus format and never change. Rules of other packages may use any other
    word.

    >>> Reason.TIMEOUT.transient
    True
    >>> f"{Reason.TOO_SMALL}: {Reason.TOO_SMALL.meaning}"
    "too_small: smaller than the recipe's minimum side"
    """

    meaning: str
    """One line for the report."""
    transient: bool
    """Whether the same request may succeed later; `--retry-failed` repeats it."""

    def __new__(cls, value: str, meaning: str, transient: bool = False) -> "Reason":
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.transient = transient
        return member

    # Rows, files and records of a source.
    BAD_ROW = "bad_row", "a row that cannot be read"
    BAD_TEXT = "bad_text", "a text file larger than 1 MiB"
    BAD_URL = "bad_url", "not a URL that can be requested"
    MISSING_FILE = "missing_file", "the file does not exist or cannot be opened", True
    NOT_A_FILE = "not_a_file", "a link out of its folder, a pipe, a device, or a folder"
    NOT_RECORDED = "not_recorded", "no recorded bytes for this URL", True
    OFFLINE = "offline", "not recorded, and the build makes no request", True
    BAD_ENCODING = "bad_encoding", "no character encoding decodes it"

    # URLs and hosts, before a request.
    SCHEME = "scheme", "neither http nor https"
    URL_TOO_LONG = "url_too_long", "a URL of more than 2,048 characters"
    ADDRESS = "address", "the host has a private address: blocked by the address policy"
    PORT = "port", "a port that is closed by default: blocked by the address policy"
    EXCLUDED = "excluded", "on one of the operator's blocklists"
    ROBOTS = "robots", "disallowed by robots.txt"
    ROBOTS_UNAVAILABLE = (
        "robots_unavailable",
        "robots.txt could not be fetched, so nothing was requested",
        True,
    )
    CRAWL_DELAY = "crawl_delay", "robots.txt asks for more than a minute between requests"
    OPT_OUT = "opt_out", "the site opts out of machine learning"
    HOST_WAITS = "host_waits", "the host asked for a longer wait than the build allows", True
    HOST_UNREACHABLE = "host_unreachable", "the host failed too many times in a row", True
    # No longer recorded; tables of earlier versions may hold it.
    NOT_ASKED = "not_asked", "the build stopped before the request", True

    # Requests and responses.
    DNS = "dns", "the host name does not resolve", True
    CONNECT = "connect", "no connection to the host", True
    TLS = "tls", "the TLS connection failed: the certificate is not valid, or the handshake failed"
    DISCONNECTED = "disconnected", "the server closed the connection", True
    TIMEOUT = "timeout", "no response in time", True
    MIN_RATE = "min_rate", "the response was too slow", True
    PROTOCOL = "protocol", "not valid HTTP"
    HEADER_LIMIT = "header_limit", "response headers above the limit"
    HTTP_STATUS = "http_status", "an error status"
    STATUS_429 = "status_429", "status 429: too many requests", True
    STATUS_5XX = "status_5xx", "the server failed (status 500 to 599)", True
    REDIRECT = "redirect", "redirected; the target is followed"
    REDIRECT_LIMIT = "redirect_limit", "too many redirects"
    BAD_LOCATION = "bad_location", "a redirect without a usable target"
    ENCODING = "encoding", "the content encoding cannot be decoded"
    EMPTY_BODY = "empty_body", "a response without a body"
    SHORT_BODY = "short_body", "fewer bytes than announced", True
    TOO_LARGE = "too_large", "more bytes, pixels or JPEG scans than the limit"

    # Pages.
    NOT_HTML = "not_html", "not an HTML page"
    LISTING = "listing", "a sitemap or feed, read for its links only"
    PAGE_TOO_LARGE = "page_too_large", "a page of more bytes, elements or images than the limit"
    SOFT_404 = "soft_404", 'a "not found" page with status 200'
    CAPTCHA = "captcha", "a CAPTCHA page in place of the content"

    # Image bytes.
    NOT_IMAGE = "not_image", "not an image, whatever its name says"
    FORMAT = "format", "an image format that the recipe leaves out"
    EMPTY = "empty", "no bytes, or no text left"
    TRUNCATED = "truncated", "the image data end early"
    UNDECODABLE = "undecodable", "the image data are corrupt"
    DECODER_CRASH = "decoder_crash", "it crashed the sandboxed decoder"
    DECODER_TIMEOUT = "decoder_timeout", "decoding takes too long", True
    DECODING_BUDGET = (
        "decoding_budget",
        "the images or pages of its host took too long to decode, so that this one was not decoded",
        True,
    )
    TOO_SMALL = "too_small", "smaller than the recipe's minimum side"
    ASPECT = "aspect", "its sides differ by more than the recipe allows"
    TOO_FEW_BYTES = (
        "too_few_bytes",
        "fewer bytes than the recipe's minimum: spacers and plain colours",
    )
    NEAR_BLANK = "near_blank", "nearly one colour"
    LOW_INFORMATION = "low_information", "carries next to no information"
    ICON = "icon", "an icon: small and square, named so, or one badge all over its page"
    SPACER = "spacer", "a spacer or tracking pixel"

    # Images that are no content of their page.
    AVATAR = "avatar", "the portrait of a user or author"
    QR_CODE = "qr_code", "a QR code, or a card to follow or pay somebody"
    ADVERTISEMENT = "advertisement", "an advertisement, or an image alone in a link to another site"
    LOGO = "logo", "a logo, or an image alone in a link to the home page"
    SHARE_BUTTON = "share_button", "a button to share the page"
    EMOTICON = "emoticon", "an emoticon or a small icon in a line of text"
    RECOMMENDATION = "recommendation", "leads to another page, whose title stands beside it"
    NAVIGATION = (
        "navigation",
        "stands in the header, navigation, sidebar, footer or comments of its page",
    )

    # Texts.
    NO_TEXT = "no_text", "no text is left that may become the caption"
    BLOCKLIST = "blocklist", "gambling, adult or forgery advertising"
    BOILERPLATE = "boilerplate", "navigation, placeholders, copyright lines"
    CONTACT_INFO = "contact_info", "a telephone number, an address or a personal number"
    FILE_NAME = "file_name", "a file name, not a caption"
    LANGUAGE = "language", "another language, or too few Chinese characters"
    MARKUP = "markup", "nothing but markup"
    NO_HAN = "no_han", "no Chinese character"
    NO_NOUN = "no_noun", "names nothing"
    REPETITION = "repetition", "the same word repeated"
    TOO_LONG = "too_long", "longer than a caption"
    TOO_SHORT = "too_short", "shorter than a caption"
    LOW_CONFIDENCE = "low_confidence", "the text may belong to another image"
    UNREADABLE_TEXT = "unreadable_text", "the text file cannot be opened"

    # Deduplication.
    DUPLICATE = "duplicate", "the same URL or the same bytes as a sample"
    NEAR_DUPLICATE = "near_duplicate", "visually the same as a sample"
    NEAR_TEXT = "near_text", "nearly the same text as a sample"
    TEXT_FREQUENCY = "text_frequency", "the text occurs with too many images"
    NO_CAPTION = "no_caption", "no text of a type that may become the caption"
    PLACEHOLDER = "placeholder", "one image served for many URLs"
    FURNITURE = "furniture", "the same image on many pages of a site"
    CONTAMINATION = "contamination", "an image or text of a benchmark"
    DOMAIN_SHARE = "domain_share", "the domain's share of the corpus is used up"

    # Samples of a shard, when a loader reads them.
    WRONG_BYTES = "wrong_bytes", "bytes that differ from the recorded checksum"
    WRONG_HEADER = "wrong_header", "a tar header that is not where the index says"
    NO_IMAGE = "no_image", "a sample without an image"
    BAD_JSON = "bad_json", "a sample whose JSON cannot be read"
    BAD_FIELDS = "bad_fields", "a sample whose JSON lacks fields"


_BY_VALUE = {str(reason): reason for reason in Reason}


def known_reason(value: str) -> Reason | None:
    """Returns the member of that value; None for a reason of another package's plug-in."""
    return _BY_VALUE.get(value)


def is_transient(value: str) -> bool:
    """Whether a reason is transient; False for one of another package's plug-in."""
    reason = known_reason(value)
    return reason is not None and reason.transient
