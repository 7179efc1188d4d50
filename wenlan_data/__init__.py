"""Builds Chinese image-text corpora of the RUC-CAS-WenLan kind, and trains BriVL on them."""

# Not from `typing`, which takes as long to import as all else before signals are handled.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from wenlan_data.records import Candidate, Drop, ImageFacts, Region, Sample, Text

__version__ = "0.1.0"

__all__ = ["Candidate", "Drop", "ImageFacts", "Region", "Sample", "Text", "__version__"]


def __getattr__(name: str) -> object:
    # Imported when used: until the command line handles signals, nothing slow may be imported.
    if name in __all__:
        from wenlan_data import records

        return getattr(records, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
