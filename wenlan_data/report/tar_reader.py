"""Reads what the report shows of anybody's WebDataset tars, whatever their JSON holds."""

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from wenlan_data.clean.words import words
from wenlan_data.errors import os_errors
from wenlan_data.records import Region, Text
from wenlan_data.report.corpus_reader import MAX_SAMPLES, add_host
from wenlan_data.report.data import MAX_DISTINCT, Material, Place, Shown, Tally
from wenlan_data.shard.reader import Group, Member, read_at, scan
from wenlan_data.shard.summary import PICTURES, picture_sides_px

HEADER_BYTES = 1 << 16
"""Of a picture without sides in its JSON, so much is read for them."""
MAX_TEXT_BYTES = 1 << 20


def tars_material(tars: Sequence[Path], name: str) -> Material:
    """The material of tars; raises a user's error for one that cannot be read."""
    tally = Tally()
    drawn: list[tuple[int, int, Shown]] = []
    for tar in tars:
        tally.shards += 1
        tally.tar_bytes += tar.stat().st_size
        with os_errors(tar), tar.open("rb") as file:
            for group in scan(tar):
                shown = _shown(tar, file, group)
                _count(tally, shown)
                _draw(drawn, shown, tally.samples)
    samples = tuple(shown for _, _, shown in sorted(drawn, key=lambda item: item[1]))
    return Material(name=name, manifest=None, digest="", tally=tally, samples=samples)


def _draw(drawn: list[tuple[int, int, Shown]], shown: Shown, number: int) -> None:
    """Keep those of the smallest digests: a draw over all, the same always."""
    digest = hashlib.sha256(shown.key.encode("utf-8", "replace")).digest()
    item = (-int.from_bytes(digest[:8], "big"), number, shown)
    if len(drawn) < MAX_SAMPLES:
        heapq.heappush(drawn, item)
    elif item[0] > drawn[0][0]:
        heapq.heapreplace(drawn, item)


def _shown(tar: Path, file: BinaryIO, group: Group) -> Shown:
    fields = _fields(_small(file, group.members.get("json")))
    picture = next(
        ((ending, group.members[ending]) for ending in PICTURES if ending in group.members), None
    )
    side_px = (_number(fields, "width"), _number(fields, "height"))
    if picture and not all(side_px):
        head = read_at(
            file, Member(picture[1].name, picture[1].offset, min(picture[1].size, HEADER_BYTES))
        )
        side_px = picture_sides_px(head) or (0, 0)
    caption = _caption(file, group, fields)
    tokens = _text(fields, "tokens").split()
    return Shown(
        key=group.key,
        caption=caption,
        caption_type=_text(fields, "caption_type"),
        texts=tuple(_texts(fields.get("texts"))),
        width=side_px[0],
        height=side_px[1],
        regions=tuple(_regions(fields.get("regions"))),
        image_url=_text(fields, "image_url", "url"),
        page_url=_text(fields, "page_url"),
        source=_text(fields, "source"),
        licence=_text(fields, "licence", "license"),
        author=_text(fields, "author"),
        opt_out=tuple(_text(fields, "opt_out").splitlines()),
        tokens=tuple(tokens or words(caption)),
        shard=tar.name,
        file_name=picture[1].name if picture else "",
        place=Place(tar, picture[1].offset, picture[1].size) if picture else None,
    )


def _count(tally: Tally, shown: Shown) -> None:
    tally.samples += 1
    if shown.width and shown.height:
        tally.short_side_px[min(shown.width, shown.height)] += 1
        tally.long_side_px[max(shown.width, shown.height)] += 1
    if shown.place:
        tally.picture_kib[-(-shown.place.size // 1024)] += 1
    tally.caption_chars[len(shown.caption)] += 1
    tally.caption_types[shown.caption_type] += 1
    tally.text_types.update(text.type for text in shown.texts)
    if shown.regions:
        tally.regions[len(shown.regions) - (shown.regions[-1].label == "image")] += 1
    tally.sources[shown.source] += 1
    tally.licences[shown.licence] += 1
    tally.opt_outs.update(shown.opt_out)
    add_host(tally.image_hosts, shown.image_url)
    add_host(tally.page_hosts, shown.page_url)
    _count_some(tally.words, {word for word in shown.tokens if len(word) > 1 and word[0].isalpha()})
    _count_some(tally.captions, [shown.caption])
    titles = {text.text for text in shown.texts if text.type == "page_title"}
    tally.titles_as_captions += shown.caption in titles


def _count_some(counter: Counter[str], values: Iterable[str]) -> None:
    counter.update([value for value in values if len(counter) < MAX_DISTINCT or value in counter])


def _small(file: BinaryIO, member: Member | None) -> bytes:
    return read_at(file, member) if member and member.size <= MAX_TEXT_BYTES else b""


def _caption(file: BinaryIO, group: Group, fields: dict[str, object]) -> str:
    member = group.members.get("txt") or group.members.get("text") or group.members.get("caption")
    return (
        _small(file, member).decode("utf-8", "replace").strip()
        if member
        else _text(fields, "caption", "text")
    )


def _fields(data: bytes) -> dict[str, object]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _text(fields: dict[str, object], *names: str) -> str:
    """The first of the fields that is a text; what UTF-8 cannot write becomes a question mark."""
    found = next((value for name in names if isinstance(value := fields.get(name), str)), "")
    return found.encode("utf-8", "replace").decode()


def _number(fields: dict[str, object], name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) and 0 < value < 1 << 20 else 0


def _texts(value: object) -> list[Text]:
    items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return [Text(_text(item, "type"), _text(item, "text")) for item in items[:50]]


def _regions(value: object) -> list[Region]:
    found = []
    for item in value[:500] if isinstance(value, list) else ():
        box = item.get("box") if isinstance(item, dict) else None
        if isinstance(box, list) and len(box) == 4 and all(isinstance(side, int) for side in box):
            x1, y1, x2, y2 = box
            score = item.get("score")
            label = _text(item, "label")
            number = float(score) if isinstance(score, int | float) else 0.0
            found.append(Region(box_xyxy=(x1, y1, x2, y2), label=label, score=number))
    return found
