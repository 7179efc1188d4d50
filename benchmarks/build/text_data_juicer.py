"""The chain of data-juicer that is nearest to the default recipe; runs in an environment of its
own.

python text_data_juicer.py lines.json words.json cache/

Prints one JSON line: seconds of CPU by operator, and of all operators called in turn
(`operators_s`), in batches of 1,000 in one process; and the wall-clock seconds of its own
`NestedDataset.process` over them (`process_s`), as users run it.
"""

# mypy: ignore-errors
# ruff: noqa: E402
# data-juicer is not installed where this file is checked.

import json
import os
import sys
import time
from pathlib import Path

lines_path, words_path, cache = map(Path, sys.argv[1:4])
os.environ["DATA_JUICER_CACHE_HOME"] = str(cache)
os.environ["DATA_JUICER_MODELS_CACHE"] = str(cache / "models")

from data_juicer.core.data import NestedDataset
from data_juicer.ops.filter.alphanumeric_filter import AlphanumericFilter
from data_juicer.ops.filter.character_repetition_filter import CharacterRepetitionFilter
from data_juicer.ops.filter.flagged_words_filter import FlaggedWordFilter
from data_juicer.ops.filter.text_length_filter import TextLengthFilter
from data_juicer.ops.filter.word_repetition_filter import WordRepetitionFilter
from data_juicer.ops.mapper.chinese_convert_mapper import ChineseConvertMapper
from data_juicer.ops.mapper.clean_email_mapper import CleanEmailMapper
from data_juicer.ops.mapper.clean_html_mapper import CleanHtmlMapper
from data_juicer.ops.mapper.clean_links_mapper import CleanLinksMapper
from data_juicer.ops.mapper.fix_unicode_mapper import FixUnicodeMapper
from data_juicer.ops.mapper.pii_redaction_mapper import PiiRedactionMapper
from data_juicer.ops.mapper.punctuation_normalization_mapper import PunctuationNormalizationMapper
from data_juicer.ops.mapper.whitespace_normalization_mapper import WhitespaceNormalizationMapper
from data_juicer.utils.constant import Fields

BATCH = 1000


def make_operators():
    """Returns mappers, then filters, in the order of the recipe; the rule that each corresponds to
    is in brackets.
    """
    operators = {
        "fix_unicode (unescape)": FixUnicodeMapper(normalization="NFC", num_proc=1),
        "punctuation_normalization (fold)": PunctuationNormalizationMapper(num_proc=1),
        "whitespace_normalization (fold)": WhitespaceNormalizationMapper(num_proc=1),
        "chinese_convert (simplify)": ChineseConvertMapper("t2s", num_proc=1),
        "clean_html (markup)": CleanHtmlMapper(num_proc=1),
        "clean_links (markup)": CleanLinksMapper(num_proc=1),
        "clean_email (contact_info)": CleanEmailMapper(num_proc=1),
        "pii_redaction (contact_info)": PiiRedactionMapper(num_proc=1),
        "alphanumeric (han_ratio)": AlphanumericFilter(min_ratio=0.1, num_proc=1),
        "text_length (length)": TextLengthFilter(min_len=2, max_len=512, num_proc=1),
        "character_repetition (repetition)": CharacterRepetitionFilter(
            rep_len=10, max_ratio=0.6, num_proc=1
        ),
        "word_repetition (repetition)": WordRepetitionFilter(lang="zh", max_ratio=0.6, num_proc=1),
        "flagged_words (blocklist)": FlaggedWordFilter(
            lang="zh",
            max_ratio=0.017,
            flagged_words_dir=str(words_path.parent),
            use_words_aug=True,
            num_proc=1,
        ),
    }
    if "--language" in sys.argv:
        from data_juicer.ops.filter.language_id_score_filter import LanguageIDScoreFilter

        operators["language_id_score (language)"] = LanguageIDScoreFilter(
            lang="zh", min_score=0.5, num_proc=1
        )
    return operators


def run_batch(operator, batch):
    """Runs one operator over one batch, as its own `run` does, without a dataset."""
    if not hasattr(operator, "compute_stats_batched"):
        return operator.process_batched(batch)
    if operator.is_batched_op():
        batch = operator.compute_stats_batched(batch)
        keep = list(operator.process_batched(batch))
    else:
        rows = [
            dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)
        ]
        rows = [operator.compute_stats_single(row) for row in rows]
        keep = [operator.process_single(row) for row in rows]
        batch = {key: [row[key] for row in rows] for key in batch}
    return {
        key: [value for value, stays in zip(values, keep, strict=True) if stays]
        for key, values in batch.items()
    }


def timed(operators, lines):
    """Returns CPU seconds by operator."""
    seconds = dict.fromkeys(operators, 0.0)
    for start in range(0, len(lines), BATCH):
        texts = lines[start : start + BATCH]
        batch = {"text": list(texts), Fields.stats: [{} for _ in texts]}
        for name, operator in operators.items():
            before = time.process_time()
            batch = run_batch(operator, batch)
            seconds[name] += time.process_time() - before
    return seconds


def main():
    """Warms up, then measures one run each."""
    lines = json.loads(lines_path.read_text("utf-8"))
    operators = make_operators()
    timed(operators, lines[:BATCH])
    seconds = timed(operators, lines)
    dataset = NestedDataset.from_list([{"text": line} for line in lines])
    before = time.perf_counter()
    kept = dataset.process(list(make_operators().values()))
    process_s = time.perf_counter() - before
    result = {
        "seconds": seconds,
        "operators_s": sum(seconds.values()),
        "process_s": process_s,
        "kept": len(kept),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
