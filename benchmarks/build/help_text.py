"""Counts what each text rule drops from the texts of an HTML handbook, such as Debian's
gimp-help-zh-cn.

    apt-get download gimp-help-zh-cn && dpkg -x gimp-help-zh-cn_*.deb help
    python -m benchmarks.build.help_text help/usr/share/gimp/3.0/help/zh_CN --sample 20

Prints one JSON line: all and distinct texts that were read, kept, and dropped by reason, with a
seeded sample of each.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

from selectolax.lexbor import LexborHTMLParser

from wenlan_data.clean.chain import apply_rules
from wenlan_data.extract.encoding import decode_page
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Drop

BLOCKS = "p, li, td, th, h1, h2, h3, h4, dt, dd, figcaption, caption, title"


def main() -> None:
    """Reads and cleans the texts, and prints the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample", type=int, default=10)
    options = parser.parse_args()
    texts = Counter(
        text for path in sorted(options.folder.rglob("*.html")) for text in _texts(path)
    )
    print(json.dumps(_report(texts, options.sample), ensure_ascii=False))


def _texts(path: Path) -> Iterator[str]:
    tree = LexborHTMLParser(decode_page(path.read_bytes()).replace("\0", ""))
    for image in tree.css("img"):
        for name in ("alt", "title"):
            if value := image.attributes.get(name):
                yield value
    for block in tree.css(BLOCKS):
        if not block.css_first("p, li, td, dd"):
            yield block.text()


def _report(texts: Counter[str], sample: int) -> dict[str, object]:
    rules = [spec.load() for spec in load_recipe("wenlan").text.rules]
    found: dict[str, list[str]] = {}
    for text in texts:
        result = apply_rules(rules, text)
        found.setdefault(result.reason if isinstance(result, Drop) else "kept", []).append(text)
    random = Random(1)
    return {
        "texts": texts.total(),
        "different": len(texts),
        "times": {
            reason: sum(texts[one] for one in some) for reason, some in sorted(found.items())
        },
        "different_by_reason": {reason: len(some) for reason, some in sorted(found.items())},
        "sample": {
            reason: random.sample(some, min(sample, len(some)))
            for reason, some in sorted(found.items())
        },
    }


if __name__ == "__main__":
    main()
