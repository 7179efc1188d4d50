"""Removes tracking parameters from page URLs, so that one page has one URL."""

import re
from urllib.parse import unquote_plus

from wenlan_data.web.urls import url_key

PREFIXES = ("utm_", "spm_", "hmsr_", "mtm_", "pk_", "share_", "wt_", "bd_vid", "ga_")
NAMES = frozenset(
    {
        *(
            "spm",
            "scm",
            "pvid",
            "hmsr",
            "hmpl",
            "hmcu",
            "hmkw",
            "hmci",
            "from_source",
            "fromid",
            "from_voice",
        ),
        *(
            "gclid",
            "gclsrc",
            "dclid",
            "fbclid",
            "msclkid",
            "yclid",
            "igshid",
            "mc_cid",
            "mc_eid",
            "wbraid",
            "gbraid",
        ),
        *(
            "_ga",
            "_gl",
            "ref_src",
            "refer",
            "referer",
            "referrer",
            "source_id",
            "sourcefrom",
            "isappinstalled",
        ),
        *(
            "vd_source",
            "weibo_id",
            "wechat_id",
            "wxshare_count",
            "nsukey",
            "xtor",
            "cmpid",
            "yptr",
            "trk",
            "trackid",
        ),
        *("jsessionid", "phpsessid", "aspsessionid", "sessionid", "session_id"),
    }
)
"""Parameters of search engines, shops, share buttons and session cookies. Our own list."""

WORDS = frozenset({"from", "ref"})
"""Tracking parameters only if their value is no number: a number is an offset in a list."""

_SESSION_IN_PATH = re.compile(r";(?:jsessionid|phpsessid)=[^/?#]*", re.IGNORECASE)


def page_url(url: str) -> str:
    """The URL without fragment and tracking parameters, otherwise unchanged."""
    url = url.partition("#")[0].strip()
    # Java servers put the session into the path.
    if ";" in url:
        url = _SESSION_IN_PATH.sub("", url)
    path, mark, query = url.partition("?")
    if not mark:
        return url
    kept = "&".join(pair for pair in query.split("&") if pair and not _is_tracking(pair))
    return f"{path}?{kept}" if kept else path


def page_key(url: str) -> str:
    """The canonical form of `page_url`: URLs with the same key are the same page."""
    return url_key(page_url(url))


def _is_tracking(pair: str) -> bool:
    name, _, value = pair.partition("=")
    name = unquote_plus(name).lower()
    return name in NAMES or name.startswith(PREFIXES) or (name in WORDS and not value.isdigit())
