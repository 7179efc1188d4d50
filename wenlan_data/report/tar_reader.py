"""Reads the report data of WebDataset tars of any origin, whatever their JSON holds."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from wenlan_data.clean.words import words
from wenlan_data.errors import os_errors
from wenlan_data.files import open_regular
from wenlan_data.records import Region, Relation, Text
from wenlan_data.report.corpus_reader import count_host
from wenlan_data.report.data import (
    MAX_DISTINCT,
    MAX_NAMES,
    MAX_SAMPLES,
    CorpusStatistics,
    ImageLocation,
    ReportData,
    ReportItem,
    add_bounded,
)
from wenlan_data.report.lowest_texts import LowestTexts, is_caption_of
from wenlan_data.shard.format import image_of, json_fields
from wenlan_data.shard.reader import Member, SampleMembers, read_at, scan
from wenlan_data.shard.summary import image_sides_px, side_px

HEADER_BYTES = 1 << 16
"""Bytes of an image that are read for its size, where the JSON does not state it."""
MAX_TEXT_BYTES = 1 << 20
"""Larger JSON and caption members are ignored."""
MAX_SEGMENTED_CHARS = 10_000
"""Characters of a caption that are split into words, where the JSON has none."""
MAX_TEXTS = 50
MAX_REGIONS = 500


def read_tar_data(tars: Sequence[Path], name: str) -> ReportData:
    """Returns the report data of tars. Raises `DamageError` for one that cannot be read."""
    statistics = CorpusStatistics()
    drawn: list[tuple[int, int, ReportItem]] = []
    lowest = LowestTexts()
    for tar in tars:
        statistics.shards += 1
        statistics.tar_bytes += tar.stat().st_size
        with os_errors(tar), open_regular(tar) as file:
            for group in scan(tar):
                item = _read_item(tar, file, group)
                _count(statistics, item)
                _draw(drawn, item, statistics.samples)
                lowest.add(item)
    samples = tuple(item for _, _, item in sorted(drawn, key=lambda entry: entry[1]))
    return ReportData(
        name=name,
        manifest=None,
        digest="",
        statistics=statistics,
        samples=samples,
        lowest_captions=tuple(lowest.captions),
        lowest_surrounding=tuple(lowest.surrounding),
    )


def _draw(drawn: list[tuple[int, int, ReportItem]], item: ReportItem, number: int) -> None:
    """Keeps the `MAX_SAMPLES` items with the smallest digests: a draw that repeats exactly.

    Keys of such tars are often consecutive numbers, so the first ones would be no draw.
    """
    digest = hashlib.sha256(item.key.encode("utf-8", "replace")).digest()
    entry = (-int.from_bytes(digest[:8], "big"), number, item)
    if len(drawn) < MAX_SAMPLES:
        heapq.heappush(drawn, entry)
    elif entry[0] > drawn[0][0]:
        heapq.heapreplace(drawn, entry)


def _read_item(tar: Path, file: BinaryIO, group: SampleMembers) -> ReportItem:
    fields = json_fields(_read_small(file, group.members.get("json")))
    image = image_of(group.members)
    width, height = side_px(fields, "width"), side_px(fields, "height")
    if image and not (width and height):
        head = read_at(file, Member(image.name, image.offset, min(image.size, HEADER_BYTES)))
        width, height = image_sides_px(head) or (0, 0)
    caption = _read_caption(file, group, fields)
    tokens = _text(fields, "tokens").split()
    return ReportItem(
        key=group.key,
        caption=caption,
        caption_type=_text(fields, "caption_type"),
        texts=tuple(_texts(fields.get("texts"))),
        width=width,
        height=height,
        regions=tuple(_regions(fields.get("regions"))),
        image_url=_text(fields, "image_url", "url"),
        page_url=_text(fields, "page_url"),
        source=_text(fields, "source"),
        licence=_text(fields, "licence", "license"),
        author=_text(fields, "author"),
        opt_out=tuple(_text(fields, "opt_out").splitlines()),
        tokens=tuple(tokens or words(caption[:MAX_SEGMENTED_CHARS])),
        shard=tar.name,
        file_name=image.name if image else "",
        location=ImageLocation(tar, image.offset, image.size) if image else None,
    )


def _count(statistics: CorpusStatistics, item: ReportItem) -> None:
    statistics.samples += 1
    if item.width and item.height:
        statistics.short_side_px[min(item.width, item.height)] += 1
        statistics.long_side_px[max(item.width, item.height)] += 1
    if item.location:
        statistics.image_kib[-(-item.location.size // 1024)] += 1
    statistics.caption_chars[len(item.caption)] += 1
    _count_texts(statistics, item)
    if item.regions:
        statistics.regions[len(item.regions) - (item.regions[-1].label == "image")] += 1
    names = (
        (statistics.caption_types, [item.caption_type]),
        (statistics.sources, [item.source]),
        (statistics.licences, [item.licence]),
        (statistics.opt_outs, item.opt_out),
    )
    for counter, values in names:
        for value in values:
            add_bounded(counter, value, most=MAX_NAMES)
    count_host(statistics.image_hosts, item.image_url)
    count_host(statistics.page_hosts, item.page_url)
    for word in {word for word in item.tokens if len(word) > 1 and word[0].isalpha()}:
        add_bounded(statistics.words, word, most=MAX_DISTINCT)
    add_bounded(statistics.captions, item.caption, most=MAX_DISTINCT)
    titles = {text.text for text in item.texts if text.type == "page_title"}
    statistics.titles_as_captions += item.caption in titles


def _count_texts(statistics: CorpusStatistics, item: ReportItem) -> None:
    for text in item.texts:
        add_bounded(statistics.text_types, text.type, most=MAX_NAMES)
        add_bounded(statistics.relations, text.relation, most=MAX_NAMES)
        if text.type in statistics.text_types:
            hundredths = round(100 * text.confidence)
            statistics.confidence.setdefault(text.type, Counter())[hundredths] += 1
        if is_caption_of(text, item):
            add_bounded(statistics.caption_relations, text.relation, most=MAX_NAMES)


def _read_small(file: BinaryIO, member: Member | None) -> bytes:
    return read_at(file, member) if member and member.size <= MAX_TEXT_BYTES else b""


def _read_caption(file: BinaryIO, group: SampleMembers, fields: dict[str, object]) -> str:
    member = group.members.get("txt") or group.members.get("text") or group.members.get("caption")
    if member is None:
        return _text(fields, "caption", "text")
    return _read_small(file, member).decode("utf-8", "replace").strip()


def _text(fields: dict[str, object], *names: str) -> str:
    """Returns the first of the fields that is a string, lone surrogates replaced by "?"."""
    found = next((value for name in names if isinstance(value := fields.get(name), str)), "")
    return found.encode("utf-8", "replace").decode()


def _texts(value: object) -> list[Text]:
    items = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return [_typed_text(item) for item in items[:MAX_TEXTS]]


def _typed_text(item: dict[str, object]) -> Text:
    """A text with the relation and confidence that its tar states, or the defaults."""
    relation, confidence = _text(item, "relation") or "given", item.get("confidence")
    is_number = isinstance(confidence, int | float) and 0 <= confidence <= 1
    return Text(
        _text(item, "type"),
        _text(item, "text"),
        cast("Relation", relation),
        float(cast("float", confidence)) if is_number else 1.0,
    )


def _regions(value: object) -> list[Region]:
    found = []
    for item in value[:MAX_REGIONS] if isinstance(value, list) else ():
        box = item.get("box") if isinstance(item, dict) else None
        if isinstance(box, list) and len(box) == 4 and all(map(_is_side, box)):
            x1, y1, x2, y2 = box
            score = item.get("score")
            # Compared first: an integer of 400 digits is no float.
            is_score = isinstance(score, int | float) and 0 <= score <= 1
            number = float(score) if is_score else 0.0
            found.append(
                Region(box_xyxy=(x1, y1, x2, y2), label=_text(item, "label"), score=number)
            )
    return found


def _is_side(value: object) -> bool:
    return isinstance(value, int) and abs(value) < 1 << 20
