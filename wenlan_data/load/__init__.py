"""Shards to batches: `Loader` is one epoch of one rank."""

from wenlan_data.load.augment import Augment
from wenlan_data.load.loader import Loader
from wenlan_data.load.order import Shuffle
from wenlan_data.load.sources import Source
from wenlan_data.load.stream import SampleStream

__all__ = ["Augment", "Loader", "SampleStream", "Shuffle", "Source"]
