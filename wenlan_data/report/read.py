"""Says by which of the two readers the report's material comes: a corpus with a manifest, or tars alone."""

from collections.abc import Sequence
from pathlib import Path

from wenlan_data.errors import UsageError
from wenlan_data.report.corpus import corpus_material
from wenlan_data.report.material import Material
from wenlan_data.report.tars import tars_material
from wenlan_data.shard.reader import is_corpus, shard_paths


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
