"""Builds Chinese image-text corpora of the RUC-CAS-WenLan kind, and trains BriVL on them."""

from wenlan_data.records import Candidate, Drop, ImageFacts, Region, Sample, Text

__version__ = "0.1.0"

__all__ = ["Candidate", "Drop", "ImageFacts", "Region", "Sample", "Text", "__version__"]
