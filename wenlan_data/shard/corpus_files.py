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
    if (path.is_symlink() or (corpus / folder).is_symlink()) and not is_inside(path, corpus):
        raise DamageError(
            f"{path}: a link that leads out of the corpus: put a copy of the file in its place"
        )
    return path


def corpus_folder(corpus: Path, name: str) -> Path:
    """Returns the path of a folder of the corpus; it may be missing.

    Raises `DamageError` for a link that leads out of the corpus.
    """
    folder = corpus / name
    if folder.is_symlink() and not is_inside(folder, corpus):
        raise DamageError(
            f"{folder}: a link that leads out of the corpus: put a copy of the folder in its place"
        )
    return folder


def is_inside(path: Path, root: Path) -> bool:
    """Whether what a path leads to, by all of its links, lies in a folder."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # a link to itself, or no name of a file
        return False
