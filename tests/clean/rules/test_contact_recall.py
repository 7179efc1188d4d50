"""How many of generated personal data the rule finds, and how often it takes another number for
one.
"""

from tests.clean.contact_strings import clean_captions, contact_strings
from wenlan_data.clean.rules.contact_info import KINDS, ContactInfo
from wenlan_data.records import Drop


def test_at_least_99_percent_of_1000_generated_strings_are_found() -> None:
    missed = [
        text
        for _, _, text in contact_strings(1000, seed=5)
        if not isinstance(ContactInfo()(text), Drop)
    ]
    assert len(missed) <= 10, missed


def test_every_kind_is_found_by_its_own_name_in_at_least_97_percent() -> None:
    found = dict.fromkeys(KINDS, 0)
    for kind, _, text in contact_strings(1600, seed=6):
        found[kind] += isinstance(ContactInfo(kinds=(kind,))(text), Drop)
    assert min(found.values()) >= 194, found


def test_at_most_half_a_percent_of_10000_clean_captions_is_a_false_hit() -> None:
    hits = [
        text for text in clean_captions(10_000, seed=7) if isinstance(ContactInfo()(text), Drop)
    ]
    assert len(hits) <= 50, hits[:50]


def test_masking_leaves_nothing_of_what_was_found() -> None:
    mask = ContactInfo(action="mask")
    for _, number, text in contact_strings(1000, seed=8):
        if isinstance(ContactInfo()(text), Drop):
            masked = mask(text)
            assert isinstance(masked, str)
            assert number not in masked
            assert ContactInfo()(masked) == masked
