"""What commands print: made safe for terminals, as tables or JSON."""

from pathlib import Path


def printable(text: str) -> str:
    """`text` with all that a terminal would act on escaped: control and bidirectional characters."""
    return "".join(one if one.isprintable() or one == "\u3000" else _escape(one) for one in text)


def dump(value: object) -> str:
    """One line of JSON that no terminal acts on."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    # JSON leaves C1 controls and bidirectional marks as they are: a terminal would act on them.
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def safe_name(key: str, extension: str) -> str:
    """A file name for a member of a stranger's tar: no folder, no leading dot, at most 200 bytes.

    A name that had to be changed ends in a digest of the true one, so that two never become the same.
    """
    import hashlib
    import re

    name = f"{key}.{extension}"
    safe = re.sub(r"[^\w.-]", "_", name).lstrip(".-")
    if safe == name and len(name.encode()) <= 200:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = safe.encode("ascii", "ignore").decode()[:100].partition(".")[0]
    suffix = re.sub(r"[^a-z0-9.]", "_", extension)[:50]
    return f"{short or 'sample'}-{digest}.{suffix}"


def _escape(one: str) -> str:
    return one.encode("unicode_escape", "surrogatepass").decode("ascii")


def _write_new(path: Path, data: bytes) -> str:
    from wenlan_data.errors import UsageError, os_errors
    from wenlan_data.files import write_new

    with os_errors(path):
        try:
            write_new(path, data)
        except FileExistsError as error:
            raise UsageError(
                f"{path}: this file exists, or two members have this name: choose another folder with --out"
            ) from error
    return path.name
