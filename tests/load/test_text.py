import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from tests.load.corpora import IN_ORDER, jpeg, write_corpus, write_tar
from wenlan_data.clean.variants import with_variants
from wenlan_data.errors import UsageError
from wenlan_data.load import Loader, SamplingSettings, TextSettings
from wenlan_data.load.text import choose_text, load_tokenizer, pad_tokens
from wenlan_data.records import Text

TEXTS = [
    {"type": "caption", "text": "标题"},
    {"type": "alt", "text": "替代"},
    {"type": "surrounding", "text": "第一句话。第二句话！" + "长" * 200},
]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "第", "张", "照", "片", "0", "1", "2"]


def _vocabulary(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    return folder / "vocab.txt"


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("caption", "标题"),
        ("alt", "替代"),
        ("sur_text", TEXTS[2]["text"]),
        ("surrounding", TEXTS[2]["text"]),
        ("easy", TEXTS[2]["text"][:128]),
        ("first", "第一句话"),
    ],
)
def test_the_requested_text_trains(choice: str, expected: str) -> None:
    assert choose_text(choice, "标题", TEXTS, 0.0) == (expected, True)


def test_the_first_sentence_that_trains_is_the_one_that_a_corpus_stores() -> None:
    paragraph = "问：这是灯塔吗？\n是的。建于1905年。"
    (stored,) = with_variants([Text("surrounding", paragraph)], ["first"])[1:]
    typed = [{"type": "surrounding", "text": paragraph}]
    assert (
        choose_text("first", None, typed, 0.0)
        == (stored.text, True)
        == ("问：这是灯塔吗？\n是的", True)
    )


def test_a_text_without_a_sentence_trains_whole() -> None:
    assert choose_text("first", None, [{"type": "surrounding", "text": "。。"}], 0.0) == (
        "。。",
        True,
    )


def test_random_takes_each_text_once_in_a_while_and_no_text_twice() -> None:
    found = [choose_text("random", "标题", TEXTS, draw / 30)[0] for draw in range(30)]
    assert [found.count(text["text"]) for text in TEXTS] == [10, 10, 10]


def test_mixed_takes_the_caption_one_time_in_two_and_each_other_text_alike() -> None:
    found = [choose_text("mixed", "标题", TEXTS, draw / 40)[0] for draw in range(40)]
    assert [found.count(text["text"]) for text in TEXTS] == [20, 10, 10]
    assert {choose_text("mixed", "标题", TEXTS[:1], draw / 40) for draw in range(40)} == {
        ("标题", True)
    }


def test_texts_of_low_confidence_count_as_missing_but_for_the_caption() -> None:
    typed: list[dict[str, object]] = [
        {"type": "caption", "text": "标题", "confidence": 0.2},
        {"type": "alt", "text": "替代", "confidence": 0.5},
        {"type": "surrounding", "text": "周围", "confidence": 0.49},
        {"type": "title", "text": "题目"},
    ]

    def chosen(choice: str, min_confidence: float) -> set[str]:
        draws = (draw / 40 for draw in range(40))
        return {choose_text(choice, "标题", typed, draw, min_confidence)[0] for draw in draws}

    assert chosen("random", 0.0) == chosen("mixed", 0.0) == {"标题", "替代", "周围", "题目"}
    assert chosen("random", 0.5) == chosen("mixed", 0.5) == {"标题", "替代", "题目"}
    assert choose_text("surrounding", "标题", typed, 0.0, 0.5) == ("标题", False)
    assert choose_text("surrounding", "标题", typed, 0.0, 0.49) == ("周围", True)
    assert choose_text("caption", "标题", typed, 0.0, 1.0) == ("标题", True)


def test_the_loader_passes_the_lowest_confidence_on(tmp_path: Path) -> None:
    texts = [{"type": "alt", "text": "周围的字", "confidence": 0.3}]
    fields = json.dumps({"texts": texts}).encode()
    tar = write_tar(
        tmp_path / "a.tar", {"a.jpg": jpeg(1), "a.json": fields, "a.txt": "标题".encode()}
    )
    for lowest, expected in ((0.0, "周围的字"), (0.5, "标题")):
        settings = TextSettings(choose="alt", min_confidence=lowest)
        with Loader(
            tar, batch_size=1, size_px=32, workers=0, sampling=IN_ORDER, texts=settings
        ) as loader:
            (batch,) = loader
        assert batch["text"] == [expected]
    with pytest.raises(UsageError, match="min_confidence 2: it must be from 0 to 1"):
        TextSettings(min_confidence=2)


def test_the_caption_replaces_a_missing_text() -> None:
    assert choose_text("heading", "标题", TEXTS, 0.0) == ("标题", False)


def test_brivls_own_names_of_texts_are_known() -> None:
    assert choose_text("sur_text", None, [{"type": "sur_text", "text": "正文"}], 0.0) == (
        "正文",
        True,
    )


def test_tokens_are_padded_to_the_longest_rounded_up_to_8() -> None:
    tokens, mask = pad_tokens([[1, 2, 3], [4] * 9])
    assert tokens.shape == mask.shape == (2, 16)
    assert tokens[0].tolist() == [1, 2, 3, *[0] * 13]
    assert mask.sum(1).tolist() == [3, 9]


def test_a_bert_vocabulary_gives_berts_tokens_and_the_cap_is_counted(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(_vocabulary(tmp_path), max_tokens=6)
    assert tokenizer.encode(["第0张", "第1张照片", "猫"]) == (
        [[2, 5, 9, 6, 3], [2, 5, 10, 6, 7, 3], [2, 1, 3]],
        1,
    )


def test_a_folder_and_a_tokenizer_file_do_too(tmp_path: Path) -> None:
    _vocabulary(tmp_path)
    assert load_tokenizer(tmp_path, 80).encode(["片"]) == ([[2, 8, 3]], 0)
    library = Tokenizer(WordLevel({"[UNK]": 0, "片": 1}, unk_token="[UNK]"))
    library.pre_tokenizer = Split("", "isolated")
    library.save(str(tmp_path / "other.json"))
    assert load_tokenizer(tmp_path / "other.json", 80).encode(["片猫"]) == ([[1, 0]], 0)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(UsageError, match=r"bad\.json: no tokenizer"):
        load_tokenizer(tmp_path / "bad.json", 80)


def test_a_loader_with_a_tokenizer_gives_tokens_and_a_mask(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [3])
    texts = TextSettings(tokenizer=_vocabulary(tmp_path / "t"), max_tokens=6)
    for workers in (0, 1):
        loader = Loader(
            corpus, batch_size=3, size_px=8, workers=workers, sampling=IN_ORDER, texts=texts
        )
        batch = next(loader)
        assert batch["tokens"].tolist()[1] == [2, 5, 10, 6, 7, 3, 0, 0]
        assert batch["token_mask"].sum(1).tolist() == [6, 6, 6]
        assert loader.metrics.texts_cut == 3


def test_random_texts_are_a_function_of_the_seed_and_change_by_the_epoch(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [40])

    def texts(epoch: int, ranks: int = 1) -> list[str]:
        loader = Loader(
            corpus,
            batch_size=40 // ranks,
            size_px=8,
            workers=0,
            epoch=epoch,
            sampling=SamplingSettings(shuffle=None, world_size=ranks),
            texts=TextSettings(choose="random"),
        )
        return next(loader)["text"]

    assert texts(0) == texts(0)
    assert texts(0) != texts(1)
    assert texts(0)[:20] == texts(0, ranks=2)


def test_a_sample_without_text_cannot_train_a_text_tower(tmp_path: Path) -> None:
    members = {"a.jpg": jpeg(1), "b.jpg": jpeg(2), "b.json": json.dumps({"texts": TEXTS}).encode()}
    tar = write_tar(tmp_path / "a.tar", members)
    untokenized = Loader(tar, batch_size=2, size_px=8, workers=0, sampling=IN_ORDER)
    assert next(untokenized)["text"] == ["", "标题"]
    texts = TextSettings(tokenizer=_vocabulary(tmp_path / "t"))
    loader = Loader(tar, batch_size=2, size_px=8, workers=0, sampling=IN_ORDER, texts=texts)
    assert next(loader)["key"] == ["b", "b"]
    assert loader.metrics.bad == {"no_text": 1}
