"""Files of a corpus that somebody else may have made: they lie inside it, also by their links."""

from pathlib import Path

from wenlan_data.errors import DamageError


def corpus_file(corpus: Path, folder: str, name: str) -> Path:
    """Returns the path of a file that the manifest lists; the file may be missing.

    Raises `DamageError` for a link that leads out of the corpus, and for what is neither missing
    nor a regular file, such as a pipe.
    """
    path = corpus / folder / name
    if path.exists() and not path.is_file():
        raise DamageError(f"{path}: not a regular file: restore it from a copy")
    if path.is_symlink() or (corpus / folder).is_symlink():
        try:
            inside = path.resolve().is_relative_to(corpus.resolve())
        except (OSError, RuntimeError):  # a link to itself
            inside = False
        if not inside:
            raise DamageError(
                f"{path}: a link that leads out of the corpus: put a copy of the file in its place"
            )
    return path
