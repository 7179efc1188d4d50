from collections.abc import Iterator

import pytest
from hypothesis import settings

from wenlan_data.testing import Site

# How long an example takes depends on what else the machine does.
settings.register_profile("wenlan", deadline=None)
settings.load_profile("wenlan")


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Indexes of shards are cached in a folder of the test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def site() -> Iterator[Site]:
    """A server on loopback whose answers a test sets."""
    with Site() as running:
        yield running
