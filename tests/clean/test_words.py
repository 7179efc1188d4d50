import subprocess
import sys
from pathlib import Path

from wenlan_data.clean.words import has_rare_characters, names_something, words


def test_words_come_in_order_without_spaces() -> None:
    assert words("北京 烤鸭，好吃") == ("北京", "烤鸭", "，", "好吃")


def test_only_the_first_1024_characters_are_looked_at() -> None:
    assert "".join(words("猫" * 1024 + "狗")) == "猫" * 1024


def test_unknown_words_count_as_names() -> None:
    assert names_something("荷花")
    assert names_something("鳌拜猫王")
    assert not names_something("慢慢")
    assert not names_something("，")


def test_nouns_that_jieba_lacks_stay_in_one_piece() -> None:
    assert words("树上的知了") == ("树上", "的", "知了")
    assert words("得知了消息") == ("得知", "了", "消息")


def test_two_adjacent_rare_characters_are_a_name() -> None:
    assert has_rare_characters(words("蠼螋"))
    assert not has_rare_characters(words("就这样吧"))


def test_jieba_writes_no_cache_and_no_log(tmp_path: Path) -> None:
    code = "from wenlan_data.clean.words import words; print(words('北京烤鸭'))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={
            "TMPDIR": str(tmp_path),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    assert list(tmp_path.iterdir()) == []
