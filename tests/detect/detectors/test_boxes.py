from tests.conformance import check_detector
from wenlan_data.detect.detectors.boxes import Boxes


def test_it_fulfils_the_contract_of_detectors() -> None:
    check_detector(Boxes())


def test_the_order_of_the_source_is_kept_and_small_boxes_go() -> None:
    found = Boxes(min_side_px=10, label="vg").load_boxes()(
        [(50, 50, 90, 90), (0, 0, 9, 90), (0, 0, 10, 10)]
    )
    assert [(one.box_xyxy, one.label, one.score) for one in found] == [
        ((50, 50, 90, 90), "vg", 1.0),
        ((0, 0, 10, 10), "vg", 1.0),
    ]
