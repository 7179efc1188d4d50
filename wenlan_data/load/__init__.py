"""Shards to batches: `Loader` is one epoch of one rank."""

from wenlan_data.load.augment import Augment
from wenlan_data.load.iterable import SampleStream
from wenlan_data.load.loader import Loader
from wenlan_data.load.mixing import Source
from wenlan_data.load.shuffle import Shuffle

__all__ = ["Augment", "Loader", "SampleStream", "Shuffle", "Source"]
