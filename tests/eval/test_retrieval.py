"""Metrics against a plain sort of every row."""

import pytest
import torch
from torch.nn.functional import normalize

from wenlan_data.eval import retrieval as module
from wenlan_data.eval.retrieval import EqualTexts, retrieval, target_ranks


def _naive(query: torch.Tensor, answer: torch.Tensor, pairs: list[tuple[int, int]]) -> list[int]:
    found = []
    for row, one in enumerate(query):
        scores = [(float(one @ other), at) for at, other in enumerate(answer)]
        right = {at for place, at in pairs if place == row}
        best = max(score for score, at in scores if at in right)
        found.append(1 + sum(score >= best and at not in right for score, at in scores))
    return found


def test_ranks_are_those_of_a_plain_sort_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(1)
    image, text = (normalize(torch.randn(n, 5, generator=generator), dim=1) for n in (17, 40))
    pairs = [(number % 17, number) for number in range(40)]
    for rows in (1, 4, 1000):
        monkeypatch.setattr(module, "CHUNK_ROWS", rows)
        assert target_ranks(image, text, pairs).tolist() == _naive(image, text, pairs)
        backward = [(text_row, image_row) for image_row, text_row in pairs]
        assert target_ranks(text, image, backward).tolist() == _naive(text, image, backward)


def test_the_best_of_several_captions_counts_and_one_caption_may_have_several_images() -> None:
    image = torch.eye(3)
    text = torch.tensor([[0.9, 0.1, 0], [0, 1.0, 0], [0, 0, 1.0]])
    found = retrieval(image, text, [(0, 0), (0, 2), (1, 1), (2, 2)])
    assert found.image_to_text.recall[1] == 1
    assert found.text_to_image.recall[1] == 1


def _oracle(
    image: torch.Tensor, texts: list[tuple[int, str]], vectors: dict[str, torch.Tensor], rule: str
) -> tuple[list[int], list[int]]:
    """Ranks of all queries in both directions, of samples' texts one by one."""
    merges = rule == "merge"
    entries = list(dict.fromkeys(text for _, text in texts)) if merges else texts
    queries = [[one for one, text in texts if text == entry] for entry in entries] if merges else (
        [[one] for one, _ in texts]
    )  # fmt: skip
    of_entry = [vectors[entry if isinstance(entry, str) else entry[1]] for entry in entries]
    similarity = [[float(one @ other) for other in of_entry] for one in image]

    def rank(scores: list[float], right: set[int]) -> int:
        best = max(scores[place] for place in right)
        wrong = (score for place, score in enumerate(scores) if place not in right)
        return 1 + sum(score >= best for score in wrong)

    by_image = [
        rank(row, {place for place, images in enumerate(queries) if number in images})
        for number, row in enumerate(similarity)
    ]
    by_text = [
        rank([row[place] for row in similarity], set(images))
        for place, images in enumerate(queries)
    ]
    return by_image, by_text


@pytest.mark.parametrize("rule", ["merge", "separate"])
@pytest.mark.parametrize("texts_of_an_image", [1, 3])
def test_equal_texts_are_one_or_each_counts_by_itself(
    rule: EqualTexts, texts_of_an_image: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 7)
    generator = torch.Generator().manual_seed(5)
    # Multiples of 1/4: sums are exact, so ties are ties in the oracle too.
    image = torch.randint(-4, 5, (23, 3), generator=generator) / 4
    names = [f"text {number}" for number in range(9)]
    rows = torch.randint(-4, 5, (9, 3), generator=generator) / 4
    vectors = dict(zip(names, rows, strict=True))
    texts = [
        (number, names[(number * number + 2 * one) % 9])
        for number in range(23)
        for one in range(texts_of_an_image)
    ]
    texts = list(dict.fromkeys(texts))
    used = list(dict.fromkeys(text for _, text in texts))
    pairs = [(number, used.index(text)) for number, text in texts]
    found = retrieval(image, torch.stack([vectors[one] for one in used]), pairs, equal_texts=rule)
    by_image, by_text = _oracle(image, texts, vectors, rule)
    for metrics, ranks in ((found.image_to_text, by_image), (found.text_to_image, by_text)):
        assert metrics.queries == len(ranks)
        assert metrics.mean_rank == pytest.approx(sum(ranks) / len(ranks))
        for cut, recall in metrics.recall.items():
            assert recall == pytest.approx(sum(rank <= cut for rank in ranks) / len(ranks))
    assert len(by_text) == (len(used) if rule == "merge" else len(texts))


def test_without_equal_texts_both_rules_give_the_same() -> None:
    generator = torch.Generator().manual_seed(2)
    image, text = (normalize(torch.randn(30, 6, generator=generator), dim=1) for _ in range(2))
    pairs = [(row, row) for row in range(30)]
    assert retrieval(image, text, pairs) == retrieval(image, text, pairs, equal_texts="separate")


def test_an_equal_text_of_another_image_is_a_wrong_candidate_that_ties() -> None:
    image, text = torch.eye(4), torch.eye(4)[:2]
    pairs = [(0, 0), (1, 1), (2, 0), (3, 1)]
    found = retrieval(image[[0, 1, 0, 1]], text, pairs, equal_texts="separate")
    assert found.image_to_text.recall[1] == 0
    assert found.image_to_text.mean_rank == 2
    merged = retrieval(image[[0, 1, 0, 1]], text, pairs)
    assert merged.image_to_text.recall[1] == merged.text_to_image.recall[1] == 1


def test_equal_vectors_have_a_recall_of_zero() -> None:
    same = torch.ones(20, 4)
    found = retrieval(same, same, [(row, row) for row in range(20)])
    assert found.image_to_text.recall == {1: 0, 5: 0, 10: 0}
    assert found.image_to_text.median_rank == 20


def test_the_json_has_the_documented_keys() -> None:
    found = retrieval(torch.eye(2), torch.eye(2), [(0, 0), (1, 1)]).as_json()
    assert set(found) == {"image_to_text", "text_to_image"}
    assert {"recall@1", "recall@5", "recall@10", "median_rank", "mean_rank"} <= set(
        found["image_to_text"]
    )
    assert found["image_to_text"]["mean_rank"] == 1
