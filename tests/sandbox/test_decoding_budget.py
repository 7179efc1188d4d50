"""Hosts whose images take long to decode, and pages with many images inside: neither holds up a
build."""

import base64
import hashlib
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.fetch.fetch_list_rows import FAST, Row, fetch, part_for, run
from tests.web.raw_server import RawServer, ok
from wenlan_data.fetch.jpeg_store import JpegStoreWriter
from wenlan_data.fetch.recorder import ImageRecorder
from wenlan_data.fetch.replay import ReplayPart
from wenlan_data.fetch.results import EPOCH
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox import client as sandbox
from wenlan_data.sandbox import limits, process
from wenlan_data.sandbox.decoding_budget import FREE_S, DecodingBudget
from wenlan_data.testing import make_image
from wenlan_data.web.blocklists import Blocklists
from wenlan_data.web.response import Response
from wenlan_data.web.warc import PayloadWriter


def slow_png(seed: int = 0) -> bytes:
    """64 MP with alpha of one colour: 100 kB, and a second or two of a processor."""

    def chunk(name: bytes, body: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + end

    packer = zlib.compressobj(6)
    row = b"\0" + bytes((seed, 1, 2, 255)) * 8000
    pixels = b"".join(packer.compress(row) for _ in range(8000)) + packer.flush()
    header = struct.pack(">IIBBBBB", 8000, 8000, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def response(body: bytes) -> Response:
    return Response(
        status=200, reason="OK", headers=(), body=body, final_url="http://a.cn/x", ip="",
        received_at=EPOCH,
    )  # fmt: skip


def test_a_host_of_slow_images_uses_up_its_budget_and_no_other(tmp_path: Path) -> None:
    slow, quick = slow_png(), make_image(1)
    budget = DecodingBudget(1.0, {})
    with (
        PayloadWriter(tmp_path / "images.warc") as warc,
        JpegStoreWriter(tmp_path / "encoded.bin") as jpegs,
    ):
        recorder = ImageRecorder(
            warc=warc, jpegs=jpegs, rules=ImageRules(), jpeg_quality=90,
            blocklists=Blocklists().load(), max_bytes=1 << 20, budget=budget,
        )  # fmt: skip
        reasons = []
        for _ in range(12):
            [result] = recorder.record_responses([response(slow)], ["slow.cn"])
            assert isinstance(result.found, Drop)
            reasons.append(str(result.found.reason))
            if reasons[-1] == "decoding_budget":
                break
        assert reasons[0] == "near_blank"
        assert reasons[-1] == "decoding_budget"
        found = recorder.record_responses(
            [response(quick), response(quick)], ["slow.cn", "other.cn"]
        )
        assert found[0].found == Drop("decoding_budget", "1 s for slow.cn", retryable=True)
        assert isinstance(found[1].found, ImageFacts)
        # Its bytes are recorded: they were received.
        assert found[0].warc_offset >= 0
        assert found[0].sha256 == hashlib.sha256(quick).hexdigest()


def test_quick_images_spend_nothing_however_many_they_are() -> None:
    budget = DecodingBudget(1.0, {})
    for _ in range(1_000_000):
        budget.add("a.cn", FREE_S)
    assert budget.refuses("a.cn") is None
    budget.add("a.cn", FREE_S + 1.5)
    assert budget.refuses("a.cn") is not None
    assert budget.refuses("b.cn") is None


def test_the_next_fetch_list_of_the_host_continues_the_budget(tmp_path: Path) -> None:
    states: dict[str, dict[str, object]] = {"a.cn": {}, "b.cn": {}}
    budget = DecodingBudget(10.0, {"a.cn": {"slow_decoding_s": 9.0}, "b.cn": {"at_s": 1.0}})
    budget.add("a.cn", FREE_S + 2)
    budget.add_to(states)
    assert states == {"a.cn": {"slow_decoding_s": 11.0}, "b.cn": {}}
    assert DecodingBudget(10.0, states).refuses("a.cn")
    with RawServer({"/a.jpg": [ok(make_image(1))]}) as server:
        spent: dict[str, dict[str, object]] = {server.host: {"slow_decoding_s": 600.0}}
        [row], receipt = fetch(tmp_path, [server.url("/a.jpg")], server.host, host_states=spent)
    assert (row["reason"], row["retryable"]) == ("decoding_budget", True)
    assert receipt.details.hosts[server.host]["slow_decoding_s"] == 600.0
    assert receipt.details.retryable_reasons == {"decoding_budget": 1}


@pytest.mark.parametrize(("limit_s", "reason"), [(7.0, "decoding_budget"), (8.0, "")])
def test_the_operator_sets_the_budget(tmp_path: Path, limit_s: float, reason: str) -> None:
    with RawServer({"/a.jpg": [ok(make_image(1))]}) as server:
        part = part_for(tmp_path, [{"url": server.url("/a.jpg")}], {server.host: FAST})
        set_limits = replace(part.politeness.limits, max_slow_decoding_s=limit_s)
        part = replace(
            part,
            politeness=replace(part.politeness, limits=set_limits),
            host_states={server.host: {"slow_decoding_s": 7.5}},
        )
        [row], _ = run(part, tmp_path)
    assert row["reason"] == reason


def _replayed(folder: Path, name: str) -> Row:
    new = folder / name
    new.mkdir()
    ReplayPart(
        fetch_list=str(folder / "fetch-list.parquet"),
        results=(str(folder / "out/facts.parquet"),),
        warc=str(folder / "out/images.warc"),
        image=ImageRules(),
    )(new)
    [row] = pq.read_table(new / "facts.parquet").to_pylist()
    assert isinstance(row, dict)
    return row


def test_a_build_from_recordings_repeats_what_time_decided(tmp_path: Path) -> None:
    with RawServer({"/a.jpg": [ok(make_image(1))]}) as server:
        spent: dict[str, dict[str, object]] = {server.host: {"slow_decoding_s": 600.0}}
        [row], _ = fetch(tmp_path, [server.url("/a.jpg")], server.host, host_states=spent)
    assert _replayed(tmp_path, "again") == row


SLOW = """
from wenlan_data.sandbox import worker
real = worker.HANDLERS[worker.CHECK]

def slow_check(options, data):
    end = worker.time.process_time() + 0.6
    while worker.time.process_time() < end: pass
    return real(options, data)

worker.HANDLERS[worker.CHECK] = slow_check
worker.main()
"""


def test_an_image_near_the_limit_keeps_the_outcome_that_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took less than the limit when it was fetched, and takes more on a slower machine."""
    files = {}
    for name in ("accepted", "refused"):
        files[name] = tmp_path / name
        files[name].mkdir()
    script = tmp_path / "slow.py"
    script.write_text(SLOW)
    with RawServer({"/a.jpg": [ok(make_image(1))]}) as server:
        fetch(files["accepted"], [server.url("/a.jpg")], server.host)
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    monkeypatch.setattr(limits, "MAX_CPU_S", 0.3)
    with RawServer({"/a.jpg": [ok(make_image(1))]}) as server:
        [row], _ = fetch(files["refused"], [server.url("/a.jpg")], server.host)
    assert row["reason"] == "decoder_timeout"
    monkeypatch.setattr(sandbox, "_ACCEPTED_CPU_S", 1.2)
    assert _replayed(files["accepted"], "again")["reason"] == ""
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", ("-m", "wenlan_data.sandbox.worker"))
    assert _replayed(files["refused"], "again")["reason"] == "decoder_timeout"


def test_an_image_of_64_megapixels_is_decoded(tmp_path: Path) -> None:
    found = sandbox.check_image(slow_png(), ImageRules())
    assert found == Drop("near_blank", found.detail if isinstance(found, Drop) else "")


COUNTING = """
import os
from wenlan_data.sandbox import worker
real, readings = worker.HANDLERS[worker.INLINE_IMAGES], [0]

def counted(options, data):
    readings[0] += 1
    if readings[0] > 2: os._exit(77)
    return real(options, data)

worker.HANDLERS[worker.INLINE_IMAGES] = counted
worker.main()
"""


def test_a_page_is_read_once_for_all_images_inside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second page in between, an image that is not there, and one that is requested twice."""
    script = tmp_path / "counting.py"
    script.write_text(COUNTING)
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    pages, rows = [], []
    for first in (0, 200):
        images = [make_image(seed, width=70, height=60) for seed in range(first, first + 200)]
        pages.append(images)
    htmls = []
    for images in pages:
        uris = ["data:image/jpeg;base64," + base64.b64encode(one).decode() for one in images]
        htmls.append("<html>" + "".join(f'<img src="{uri}">' for uri in [*uris, *uris[:50]]))
    warc, offsets = _write_pages(tmp_path, {"http://a.cn/1": htmls[0], "http://a.cn/2": htmls[1]})
    for images, offset in zip(pages, offsets, strict=True):
        rows += [_inline_row(one, warc, offset) for one in images]
        rows.append(_inline_row(b"missing", warc, offset))
    # Images of the two pages alternate.
    order = [index // 2 + (index % 2) * 201 for index in range(402)]
    found = _run(tmp_path, [rows[index] for index in order])
    sandbox.close_all()
    digests = [hashlib.sha256(one).hexdigest() for images in pages for one in [*images, b""]]
    for row, index in zip(found, order, strict=True):
        if index % 201 == 200:
            assert (row["reason"], row["retryable"]) == ("missing_file", False)
        else:
            assert row["sha256"] == digests[index]


def _write_pages(folder: Path, pages: Mapping[str, str]) -> tuple[Path, list[int]]:
    """Writes a WARC of pages (URL to HTML); returns its path, and where their records begin."""
    path = folder / "pages.warc"
    offsets = []
    with PayloadWriter(path) as warc:
        for url, html in pages.items():
            offsets.append(warc.size_bytes)
            warc.response(
                url, html.encode(), status="200 OK", sha256="", ip="", date=EPOCH,
                headers=(("Content-Type", "text/html"),),
            )  # fmt: skip
    return path, offsets


def _run(folder: Path, rows: list[Row]) -> list[Row]:
    part = part_for(folder, rows, {})
    # The page must fit into the limit of an image.
    wide = replace(part.politeness.limits, max_image_bytes=20 << 20)
    found, _ = run(replace(part, politeness=replace(part.politeness, limits=wide)), folder)
    return found


def _inline_row(data: bytes, warc: Path, offset: int) -> Row:
    name = f"data:image/jpeg;sha256={hashlib.sha256(data).hexdigest()}"
    return {
        "url": name, "supply": "inline", "supply_path": str(warc), "supply_offset": offset,
        "host": "",
    }  # fmt: skip


def test_a_page_of_thousands_of_images_costs_seconds(tmp_path: Path) -> None:
    uri = "data:image/jpeg;base64," + base64.b64encode(make_image(1)).decode()
    images = [uri[:-400] + f"{number:04d}" * 100 for number in range(500)]
    html = "<html>" + "".join(f'<img src="{one}">' for one in images)
    started = time.process_time()
    warc, [offset] = _write_pages(tmp_path, {"http://a.cn/": html})
    bodies = [base64.b64decode(one.partition(",")[2]) for one in images]
    rows = [_inline_row(one, warc, offset) for one in bodies]
    found = _run(tmp_path, rows)
    assert {row["sha256"] for row in found} == {hashlib.sha256(one).hexdigest() for one in bodies}
    assert time.process_time() - started < 60


def test_images_inside_a_page_use_the_budget_of_its_host(tmp_path: Path) -> None:
    data = make_image(1)
    uri = "data:image/jpeg;base64," + base64.b64encode(data).decode()
    html = f'<html><img src="{uri}">'
    warc, offsets = _write_pages(
        tmp_path, {f"http://{host}/a.html": html for host in ("slow.cn", "other.cn")}
    )
    rows = [_inline_row(data, warc, offset) for offset in offsets]
    part = part_for(tmp_path, rows, {})
    part = replace(part, host_states={"slow.cn:80": {"slow_decoding_s": 600.0}})
    found, _ = run(part, tmp_path)
    assert [row["reason"] for row in found] == ["decoding_budget", ""]
