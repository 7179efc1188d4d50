import doctest
from types import ModuleType

import pytest

import wenlan_data.load
from wenlan_data.load import iterable, loader


@pytest.mark.parametrize("module", [wenlan_data.load, loader, iterable])
def test_the_examples_of_the_docstrings_run(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted >= 5
    assert found.failed == 0
