from collections.abc import Iterator

import pytest

from wenlan_data.testing import Site


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running
