import doctest

import wenlan_data.testing


def test_the_examples_of_the_docstrings_run() -> None:
    found = doctest.testmod(wenlan_data.testing)
    assert found.attempted >= 15
    assert found.failed == 0


def test_every_public_name_has_an_example() -> None:
    names = ["make_image", "make_caption", "make_sample", "CannedResponse", "Site", "write_corpus"]
    for name in names:
        assert ">>> " in (getattr(wenlan_data.testing, name).__doc__ or ""), name
