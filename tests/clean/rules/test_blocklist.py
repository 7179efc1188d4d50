import os
from pathlib import Path

import pytest

from tests.bounds import bounded
from tests.conformance import check_rule
from wenlan_data.clean.rules.blocklist import Blocklist
from wenlan_data.errors import RecipeError
from wenlan_data.records import Drop


def test_blocklist_is_a_rule() -> None:
    check_rule(Blocklist())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("北京赛车PK10网上投注技巧", "北京赛车"),
        ("高仿学历证书，代办假证", "高仿学历"),
        ("代*开*发*票 优惠", "代开发票"),
        ("美女裸聊直播间", "裸聊"),
    ],
)
def test_advertisements_are_rejected_with_the_word(text: str, word: str) -> None:
    assert Blocklist()(text) == Drop("blocklist", word)


@pytest.mark.parametrize(
    "text",
    [
        "彩票站门口的红色灯箱",
        "办证大厅里排队的市民",
        "成人高考考点外的考生",
        "彩金项链",
        "警方查获的假币",
        "办理身份证的窗口",
    ],
)
def test_innocent_captions_stay(text: str) -> None:
    assert Blocklist()(text) == text


def test_words_of_a_file_are_added(tmp_path: Path) -> None:
    listed = tmp_path / "words.txt"
    listed.write_text("# ours\n榴莲 # smelly\n\n", "utf-8")
    rule = Blocklist(words=("builtin", str(listed)))
    assert rule("一车榴莲") == Drop("blocklist", "榴莲")
    assert rule("裸聊") == Drop("blocklist", "裸聊")
    assert Blocklist(words=(str(listed),))("裸聊") == "裸聊"


def test_a_list_that_is_missing_is_a_recipe_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.txt: not readable"):
        Blocklist(words=(str(tmp_path / "none.txt"),))("猫")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "NUL", "endless"])
def test_a_list_that_is_no_file_of_words_is_a_recipe_error_at_once(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "words.txt"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "endless":
        path.touch()
        os.truncate(path, 1 << 40)
    words = f"{path}\0" if kind == "NUL" else str(path)
    with bounded(seconds=20, mib=100), pytest.raises(RecipeError, match=r"words\.txt"):
        Blocklist(words=(words,))("猫")
