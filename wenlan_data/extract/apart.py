"""Reads pages in the decoding process: a page that kills a parser, or holds it up, is a drop and nothing else."""

import json

from wenlan_data.extract.frames import PageLinks, read_links, read_pairs
from wenlan_data.image.apart import ask
from wenlan_data.image.frames import DROP, INLINE, LINKS, PAIRS, PICTURE
from wenlan_data.records import Candidate, Drop, StoredBytes


def page_rows(
    payload: bytes, *, content_type: str, url: str, source: str, signals: tuple[str, ...], page_at: StoredBytes
) -> list[Candidate | Drop]:
    """The candidates of a page; alone a `Drop` where its bytes are no text (`bad_encoding`) or it is quarantined
    (`decoder_crash`, `decoder_timeout`)."""
    at = {"kind": page_at.kind, "path": page_at.path, "offset": page_at.offset}
    options = {"content_type": content_type, "url": url, "source": source, "signals": signals, "page_at": at}
    kind, text, _ = ask(PAIRS, json.dumps(options).encode(), payload)
    return [Drop(**json.loads(text))] if kind == DROP else read_pairs(text)


def links_of(payload: bytes, *, content_type: str, url: str, max_links: int) -> PageLinks | Drop:
    """Where a page leads, or why it cannot be read."""
    options = {"content_type": content_type, "url": url, "max_links": max_links}
    kind, text, _ = ask(LINKS, json.dumps(options).encode(), payload)
    return Drop(**json.loads(text)) if kind == DROP else read_links(text)


def inline_bytes(payload: bytes, *, content_type: str, name: str) -> bytes | Drop:
    """The picture that a page carries inside itself under a name, or why there is none."""
    options = json.dumps({"content_type": content_type, "name": name}).encode()
    kind, text, data = ask(INLINE, options, payload)
    if kind == DROP:
        return Drop(**json.loads(text))
    return data if kind == PICTURE else Drop("missing_file", "not inside its page any more")
