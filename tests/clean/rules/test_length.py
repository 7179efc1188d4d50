from tests.conformance import check_rule
from wenlan_data.clean.rules.length import Length
from wenlan_data.records import Drop


def test_length_is_a_rule() -> None:
    check_rule(Length())


def test_both_limits_are_counted_in() -> None:
    rule = Length(min=2, max=4)
    assert rule("茶") == Drop("too_short", "1 characters")
    assert rule("荷花") == "荷花"
    assert rule("张家界山") == "张家界山"
    assert rule("张家界天门") == Drop("too_long", "5 characters")
