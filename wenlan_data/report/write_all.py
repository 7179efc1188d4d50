"""Writes what describes a corpus: page, data-set card and Croissant file, after each build."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wenlan_data.errors import FailureBudgetError, UsageError, os_errors
from wenlan_data.files import inner_folder
from wenlan_data.layout import MANIFEST, REPORT, WORK
from wenlan_data.report.card import write_card
from wenlan_data.report.corpus_reader import manifest_digest, read_corpus_data
from wenlan_data.report.croissant import write_croissant
from wenlan_data.report.data import ReportData
from wenlan_data.report.html import PAGE, is_page_of, write_page
from wenlan_data.report.tar_reader import read_tar_data
from wenlan_data.shard.reader import is_corpus, shard_paths


def write_descriptions(corpus: Path, work: Path) -> Path | None:
    """Writes page, card and Croissant file of a corpus, unless they are up to date.

    The manifest names none of these files: a corpus without them is complete.

    Returns the path of the page, None if nothing has been published yet.
    """
    page = corpus / REPORT / PAGE
    if not (corpus / MANIFEST).is_file():
        return None
    if not is_page_of(page, manifest_digest(corpus)):
        report = read_corpus_data(corpus, work)
        write_card(report, corpus)
        write_croissant(report, corpus)
        # The page is written last: its digest tells the next build that all three files are there.
        with os_errors(corpus):
            write_page(report, inner_folder(corpus, REPORT))
    return page


@contextmanager
def descriptions_written(corpus: Path, work: Path) -> Iterator[None]:
    """Writes the descriptions after the body has published.

    An exceeded failure budget comes after the publication, so the descriptions are written then
    as well. After any other error they are not.
    """
    try:
        yield
    except FailureBudgetError:
        write_descriptions(corpus, work)
        raise
    write_descriptions(corpus, work)


def read_report_data(paths: Sequence[Path], work: Path | None = None) -> ReportData:
    """Returns the report data of one corpus, or of any tars, folders of tars and corpora together.

    Only the data of a single corpus has a funnel and drops.

    Raises `UsageError` for a missing path, `DamageError` for one that cannot be read.
    """
    if len(paths) == 1 and is_corpus(paths[0]):
        return read_corpus_data(paths[0], work or paths[0] / WORK)
    if work is not None:
        raise UsageError("--work needs a single corpus as argument: name one, or leave out --work")
    name = paths[0].resolve().name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    return read_tar_data(shard_paths(paths), name)
