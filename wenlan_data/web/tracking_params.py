"""One page, many URLs: parameters that say who came from where are no part of a page's address."""

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
"""Parameters by which search engines, shops, share buttons and session cookies mark a visit. Our own list."""

WORDS = frozenset({"from", "ref"})
"""These too, where their value is a word; a number is a place in a list."""

_SESSION_IN_PATH = re.compile(r";(?:jsessionid|phpsessid)=[^/?#]*", re.IGNORECASE)


def page_url(url: str) -> str:
    """The URL of a page without its fragment and without parameters of tracking; all else as it stands."""
    url = url.partition("#")[0].strip()
    if ";" in url:
        url = _SESSION_IN_PATH.sub("", url)
    path, mark, query = url.partition("?")
    if not mark:
        return url
    kept = "&".join(pair for pair in query.split("&") if pair and not _tracks(pair))
    return f"{path}?{kept}" if kept else path


def page_key(url: str) -> str:
    """What makes two addresses one page: the canonical form of `page_url`."""
    return url_key(page_url(url))


def _tracks(pair: str) -> bool:
    name, _, value = pair.partition("=")
    name = unquote_plus(name).lower()
    return name in NAMES or name.startswith(PREFIXES) or (name in WORDS and not value.isdigit())
