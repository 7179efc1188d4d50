import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlan_data.errors import DamageError
from wenlan_data.records import Region, Sample, Text
from wenlan_data.shard.format import (
    decode_sample,
    encode_sample,
    offsets_name,
    sample_fields,
    sample_key,
    shard_name,
)

SAMPLE = Sample(
    key="0" * 32,
    jpeg=b"\xff\xd8",
    caption="小猫🐱",
    texts=(Text("caption", "小猫🐱"), Text("alt", "“猫”\u2028\x00")),
    regions=(Region(box_xyxy=(0, 0, 3, 2), label="image", score=1.0),),
    width=3,
    height=2,
    sha256="a" * 64,
    phash=(1 << 64) - 1,
    pdq=bytes(range(32)),
    image_url="https://example.org/猫.jpg",
    opt_out=("X-Robots-Tag: noai", "TDM-Reservation: 1"),
    tokens=("小猫", "🐱"),
    caption_type="caption",
)


def test_a_sample_survives_its_bytes() -> None:
    assert decode_sample(encode_sample(SAMPLE), "here") == SAMPLE


def test_relation_and_confidence_survive_the_bytes() -> None:
    texts = (Text("alt", "猫", "attribute", 0.9), Text("surrounding", "狗", "below", 2 / 3))
    members = encode_sample(replace(SAMPLE, texts=texts))
    assert b'"relation":"below","confidence":0.67}' in members["json"]
    found = decode_sample(members, "here").texts
    assert [(one.relation, one.confidence) for one in found] == [
        ("attribute", 0.9),
        ("below", 0.67),
    ]


def test_a_confidence_is_written_as_a_fraction_even_if_it_is_whole() -> None:
    whole = replace(SAMPLE, texts=(Text("alt", "猫", "attribute", 1),))
    assert b'"confidence":1.0' in encode_sample(whole)["json"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_its_bytes(text: str) -> None:
    sample = replace(SAMPLE, caption=text, texts=(Text("alt", text),), image_url=text, author=text)
    assert decode_sample(encode_sample(sample), "here") == sample


def test_members_come_in_the_order_of_the_tar() -> None:
    assert list(encode_sample(SAMPLE)) == ["jpg", "json", "txt"]


def test_every_key_is_there_with_one_type_for_an_empty_sample_too() -> None:
    empty = replace(SAMPLE, image_url="", opt_out=(), tokens=(), phash=0)
    full = sample_fields(SAMPLE)
    assert {name: type(value) for name, value in sample_fields(empty).items()} == {
        name: type(value) for name, value in full.items()
    }
    assert all(value not in ([], None) for value in sample_fields(empty).values())


def test_a_score_is_written_as_a_fraction_even_if_it_is_whole() -> None:
    whole = replace(SAMPLE, regions=(Region(box_xyxy=(0, 0, 1, 1), label="image", score=1),))
    assert b'"score":1.0' in encode_sample(whole)["json"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", "3"),
        ("texts", None),
        ("texts", [[]]),
        ("texts", [{"type": "alt", "text": "猫", "confidence": 1.5}]),
        ("texts", [{"type": "alt", "text": "猫", "confidence": float("nan")}]),
        ("texts", [{"type": "alt", "text": "猫", "confidence": {}}]),
        ("pdq", "xy"),
        ("regions", [{}]),
    ],
)
def test_a_field_of_another_type_is_corrupt(name: str, value: object) -> None:
    members = encode_sample(SAMPLE)
    fields = {**json.loads(members["json"]), name: value}
    with pytest.raises(DamageError, match="here"):
        decode_sample({**members, "json": json.dumps(fields).encode()}, "here")


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_a_json_member_that_is_none_is_corrupt(data: bytes) -> None:
    with pytest.raises(DamageError, match="here"):
        decode_sample({**encode_sample(SAMPLE), "json": data}, "here")


def test_a_missing_member_is_corrupt() -> None:
    members = encode_sample(SAMPLE)
    del members["txt"]
    with pytest.raises(DamageError, match="txt member is missing"):
        decode_sample(members, "here")


def test_a_key_depends_on_url_and_bytes() -> None:
    keys = {sample_key(url, digit * 64) for url in ("a", "b") for digit in "01"}
    assert len(keys) == 4
    assert all(len(key) == 32 and int(key, 16) >= 0 for key in keys)
    assert sample_key("https://example.org/0.jpg", "0" * 64) == "7f324ce43705a3627cf954fff75132b4"


def test_names_of_shards() -> None:
    assert shard_name(7) == "wenlan-000007.tar"
    assert offsets_name("wenlan-000007.tar") == "wenlan-000007.offsets.parquet"
