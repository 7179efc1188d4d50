"""The last act of a build: the page, the data-set card and the machine-readable description beside the shards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wenlan_data.errors import FailureBudgetError, UsageError
from wenlan_data.report.card import write_card
from wenlan_data.report.corpus_reader import corpus_material, manifest_digest
from wenlan_data.report.croissant import write_croissant
from wenlan_data.report.data import Material
from wenlan_data.report.html import PAGE, is_page_of, write_page
from wenlan_data.report.tar_reader import tars_material
from wenlan_data.run.options import BuildOptions
from wenlan_data.shard.manifest import MANIFEST
from wenlan_data.shard.reader import is_corpus, shard_paths

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


def read_material(paths: Sequence[Path], work: Path | None = None) -> Material:
    """The material of one corpus, with its funnel and drops, or of any tars, folders of tars and corpora together.

    Raises `UsageError` for what is missing, `DamageError` for what cannot be read.
    """
    if len(paths) == 1 and is_corpus(paths[0]):
        return corpus_material(paths[0], work or paths[0] / ".work")
    if work is not None:
        raise UsageError("--work belongs to one corpus, and none is given")
    name = paths[0].resolve().name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    return tars_material(shard_paths(paths), name)
