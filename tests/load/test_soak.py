import os
from pathlib import Path

import pytest

from tests.load.corpora import keys_of, write_corpus
from wenlan_data.load import Loader

EPOCHS = 60
ALLOWED_GROWTH_BYTES = 8 << 20


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_many_short_epochs_take_no_more_memory_and_no_more_files(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", [40, 25])
    measured: list[tuple[int, int]] = []
    for epoch in range(EPOCHS):
        keys_of(Loader(corpus, batch_size=8, size_px=128, workers=2 * (epoch % 2), epoch=epoch))
        measured.append((_resident_bytes(), len(list(Path("/proc/self/fd").iterdir()))))
    warm, end = measured[EPOCHS // 4], measured[-1]
    assert end[0] - warm[0] < ALLOWED_GROWTH_BYTES
    assert end[1] <= warm[1]
    assert not list(Path("/dev/shm").glob(f"torch_{os.getpid()}_*"))
