"""Measures captions per second of one core: the default text rules, data-juicer's nearest chain,
and rules under attack.

    python -m benchmarks.build.text                 # generated lines; data-juicer is installed into bench-out/
    python -m benchmarks.build.text --lines captions.jsonl --copies 20
    python -m benchmarks.build.text --attacks --data-juicer none   # 100,000 and 200,000 characters against each rule

Progress goes to stderr; stdout gets one JSON line. What each figure means is in
benchmarks/README.md.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from benchmarks.build.attacks import attacks
from benchmarks.build.noisy_lines import noisy_lines
from wenlan_data.clean.chain import apply_rules, clean_texts
from wenlan_data.protocols import Rule
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Text

JIEBA_RULES = ("noun",)
PEER_PACKAGES = ("py-data-juicer==1.6.1", "aiohttp", "ftfy", "opencc", "selectolax")
"""Its operators install the last four at first use."""
ATTACK_CHARACTERS = 100_000


def main() -> None:
    """Prints one JSON line."""
    options = _options()
    result: dict[str, object] = {}
    if options.attacks:
        result["attacks"] = {
            name: under_attack(rule, options.pairs) for name, rule in _rules().items()
        }
    else:
        lines = _lines(options.lines) * options.copies
        result = {"lines": len(lines), "runs": options.runs, **_ours(lines, options.runs)}
        if options.data_juicer != "none":
            result["data_juicer"] = _theirs(lines, options.data_juicer, options.work)
            result["ratios"] = _ratios(result)
    print(json.dumps(result, ensure_ascii=False))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--lines", type=Path, help="JSON lines with `text`; default: 5,000 generated lines"
    )
    parser.add_argument("--copies", type=int, default=4, help="how often the lines are repeated")
    parser.add_argument("--runs", type=int, default=3, help="medians are reported")
    parser.add_argument("--data-juicer", default="", help="the python of its environment, or none")
    parser.add_argument(
        "--attacks", action="store_true", help="measure the rules under attack instead"
    )
    parser.add_argument(
        "--pairs", type=int, default=100, help="with --attacks: number of mixtures of two units"
    )
    parser.add_argument("--work", type=Path, default=Path("bench-out"))
    return parser.parse_args()


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return noisy_lines(5000)
    # Not splitlines: the texts contain other separators.
    return [str(json.loads(line)["text"]) for line in path.read_text("utf-8").split("\n") if line]


def _rules() -> dict[str, Rule]:
    return {spec.rule: spec.load() for spec in load_recipe("wenlan").text.rules}


def _ours(lines: Sequence[str], runs: int) -> dict[str, object]:
    rules = _rules()
    every = list(rules.values())
    without = [rule for name, rule in rules.items() if name not in JIEBA_RULES]
    texts = [(Text("caption", line),) for line in lines]
    for line in lines[:1000]:
        apply_rules(every, line)
    return {
        "without_jieba_per_s": _per_s(
            lambda: [apply_rules(without, line) for line in lines], len(lines), runs
        ),
        "with_jieba_per_s": _per_s(
            lambda: [apply_rules(every, line) for line in lines], len(lines), runs
        ),
        "with_jieba_and_remarks_per_s": _per_s(
            lambda: [clean_texts(every, one) for one in texts], len(lines), runs
        ),
    }


def _per_s(work: object, count: int, runs: int) -> float:
    """Returns lines per CPU second, the median of the runs."""
    assert callable(work)
    seconds = []
    for _ in range(runs):
        before = time.process_time()
        work()
        seconds.append(time.process_time() - before)
    return round(count / statistics.median(seconds))


def _theirs(lines: Sequence[str], python: str, work: Path) -> dict[str, object]:
    folder = work / "text"
    (folder / "words").mkdir(parents=True, exist_ok=True)
    (folder / "lines.json").write_text(json.dumps(lines), encoding="utf-8")
    listed = (
        resources.files("wenlan_data.clean")
        .joinpath("blocklist.txt")
        .read_text("utf-8")
        .splitlines()
    )
    words = [word for line in listed if (word := line.partition("#")[0].strip())]
    (folder / "words" / "flagged_words.json").write_text(
        json.dumps({"zh": words}), encoding="utf-8"
    )
    script = Path(__file__).with_name("text_data_juicer.py")
    given = [
        str(folder / "lines.json"),
        str(folder / "words" / "flagged_words.json"),
        str(folder / "cache"),
    ]
    print("data-juicer runs", file=sys.stderr)
    done = subprocess.run(
        [python or _install(work), str(script), *given], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"data-juicer failed:\n{done.stderr[-2000:]}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def _install(work: Path) -> str:
    folder = work / "data-juicer"
    python = folder / "bin" / "python"
    if not python.is_file():
        print(f"installing data-juicer into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER_PACKAGES], check=True)
    return str(python.absolute())


def _ratios(result: dict[str, object]) -> dict[str, float]:
    """Returns our speed over data-juicer's on the same lines: over its operators alone, and over
    its `process`.
    """
    theirs = result["data_juicer"]
    assert isinstance(theirs, dict)
    lines = float(str(result["lines"]))
    without, every = (
        float(str(result[name])) for name in ("without_jieba_per_s", "with_jieba_per_s")
    )
    operators, process = lines / theirs["operators_s"], lines / theirs["process_s"]
    return {
        "without_jieba_over_operators": round(without / operators, 2),
        "without_jieba_over_process": round(without / process, 1),
        "with_jieba_over_process": round(every / process, 1),
    }


def under_attack(rule: Rule, pairs: int) -> dict[str, object]:
    """Returns the slowest text of 100,000 characters, and the largest growth at twice the length of
    those above 5 ms.
    """
    rule("预热")
    worst, growth, name = 0.0, 0.0, ""
    twice = attacks(2 * ATTACK_CHARACTERS, pairs=pairs)
    for (attack, text), (_, longer) in zip(
        attacks(ATTACK_CHARACTERS, pairs=pairs), twice, strict=True
    ):
        seconds = _best(rule, text)
        if seconds > worst:
            worst, name = seconds, attack
        if seconds > 0.005:
            growth = max(growth, _best(rule, longer) / seconds)
    return {"worst_ms": round(worst * 1000, 1), "text": name, "largest_growth": round(growth, 2)}


def _best(rule: Rule, text: str) -> float:
    """Returns CPU seconds; the best of three runs if it takes long, since other processes may
    run."""
    seconds = []
    for _ in range(3):
        before = time.process_time()
        rule(text)
        seconds.append(time.process_time() - before)
        if seconds[0] < 0.005:
            break
    return min(seconds)


if __name__ == "__main__":
    main()
