"""The last act of a build: the page, the data-set card and the machine-readable description beside the shards."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wenlan_data.errors import FailureBudgetError
from wenlan_data.report.card import write_card
from wenlan_data.report.corpus import corpus_material, manifest_digest
from wenlan_data.report.croissant import write_croissant
from wenlan_data.report.page import PAGE, is_page_of, write_page
from wenlan_data.run.options import BuildOptions
from wenlan_data.shard.manifest import MANIFEST

REPORT = "report"


def describe_corpus(corpus: Path, work: Path) -> Path | None:
    """Write what describes the corpus, unless it is there already; the page, None where nothing was published.

    Nothing here is named by the manifest: a corpus without these files is whole.
    """
    page = corpus / REPORT / PAGE
    if not (corpus / MANIFEST).is_file():
        return None
    if not is_page_of(page, manifest_digest(corpus)):
        material = corpus_material(corpus, work)
        write_card(material, corpus)
        write_croissant(material, corpus)
        # Last, since by its mark the next build knows that all of them were written.
        write_page(material, page.parent)
    return page


@contextmanager
def described(options: BuildOptions) -> Iterator[None]:
    """Describe the corpus once the body has published, also where it then found its failure budget spent."""
    try:
        yield
    except FailureBudgetError:
        describe_corpus(options.out, options.work_folder)
        raise
    describe_corpus(options.out, options.work_folder)
