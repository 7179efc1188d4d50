"""Loads shards as batches for training: corpora of this package, or any WebDataset tars.

`Loader` iterates over one rank's batches of one epoch or of several; its state is the epoch and the
number of batches delivered of it. `SampleStream` yields single, undecoded samples in the same
order.

>>> from pathlib import Path
>>> from tempfile import mkdtemp
>>> from wenlan_data.load import Loader, SamplingSettings
>>> from wenlan_data.testing import make_sample, write_corpus
>>> corpus = write_corpus(Path(mkdtemp()) / "corpus", [[make_sample(n) for n in range(8)]])
>>> loader = Loader(corpus, batch_size=4, size_px=64, workers=0, epochs=2)
>>> for batch in loader:
...     print(loader.epoch, tuple(batch["image"].shape), len(batch["text"]))
0 (4, 3, 64, 64) 4
0 (4, 3, 64, 64) 4
1 (4, 3, 64, 64) 4
1 (4, 3, 64, 64) 4

Without shuffling, as for evaluation, samples come in the order of the shards:

>>> in_order = Loader(
...     corpus, batch_size=2, size_px=64, workers=0, sampling=SamplingSettings(shuffle=None)
... )
>>> next(in_order)["text"]
['窗台旁边的小猫', '窗台旁边的火车']
"""

from wenlan_data.load.augment import Augment
from wenlan_data.load.iterable import SampleStream
from wenlan_data.load.loaded_batch import LoaderBatch
from wenlan_data.load.loader import Loader
from wenlan_data.load.loader_settings import (
    FaultPolicy,
    ImageSettings,
    SamplingSettings,
    TextSettings,
    WorkerSettings,
)
from wenlan_data.load.mixing import WeightedCorpus
from wenlan_data.load.shuffle import ShuffleSettings

__all__ = [
    "Augment",
    "FaultPolicy",
    "ImageSettings",
    "Loader",
    "LoaderBatch",
    "SampleStream",
    "SamplingSettings",
    "ShuffleSettings",
    "TextSettings",
    "WeightedCorpus",
    "WorkerSettings",
]
