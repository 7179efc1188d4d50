"""Measures the cost of each detector on one core, and the recall of `proposals` on the confident
boxes of yolox.

Images per second are by processor time, which hardly depends on other work on the machine; on a
GPU, by wall clock.

Each FOLDER holds photographs, at any depth:

python -m benchmarks.build.regions --weights yolox_nano.onnx FOLDER...
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from wenlan_data.detect.boxes import BoxArray, iou
from wenlan_data.detect.detectors.proposals import Proposals, _shrink
from wenlan_data.detect.loading import load_detector
from wenlan_data.image.decode import Pixels
from wenlan_data.image.rules import ImageRules
from wenlan_data.image.stored_pixels import stored_pixels
from wenlan_data.protocols import Detector
from wenlan_data.records import ImageFacts
from wenlan_data.sandbox.client import check_image, normalise

CONFIDENT = 0.5
FIRST = (36, 100, 10_000)
ARCHITECTURES = ("resnet50_fpn_v2", "mobilenet_v3_large_320_fpn")
Clock = Callable[[], float]
Found = tuple[list[BoxArray], float]


def stored_images(folders: Sequence[Path], most: int) -> list[Pixels]:
    """Returns at most `most` of the photographs, evenly chosen, normalised as for a shard and
    decoded."""
    paths = sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix.lower() in {".jpg", ".jpeg"}
    )
    found = []
    for path in paths[:: max(1, len(paths) // most)]:
        data = path.read_bytes()
        if isinstance(check_image(data, ImageRules()), ImageFacts):
            found.append(stored_pixels(normalise(data, max_side_px=1024, jpeg_quality=92).jpeg))
    return found


def boxes_of(
    detector: Detector, images: Sequence[Pixels], clock: Clock = time.process_time
) -> Found:
    """Returns the boxes in each image, best first, and images per second by `clock`."""
    find = detector.load()
    find(images[:1])
    start = clock()
    size = detector.batch_size
    batches = [find(images[first : first + size]) for first in range(0, len(images), size)]
    seconds = clock() - start
    regions = [some for batch in batches for some in batch]
    return [_array([one.box_xyxy for one in some]) for some in regions], len(images) / seconds


def faster_rcnn_per_s(architecture: str, images: Sequence[Pixels], device: str) -> float:
    """Measures images per second with random weights. They take the time of trained ones, except
    for NMS, whose boxes differ."""
    import torch
    from torchvision.models import detection

    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.pth"
        model = getattr(detection, f"fasterrcnn_{architecture}")(
            weights=None, weights_backbone=None, num_classes=91
        )
        torch.save(model.state_dict(), path)
        settings = {"architecture": architecture, "weights": str(path)}
        clock = time.process_time if device == "cpu" else time.perf_counter
        return boxes_of(load_detector("faster_rcnn", settings, device), images, clock)[1]


def plain_order(image: Pixels) -> BoxArray:
    """Returns every box of OpenCV's selective search, in its own order."""
    import cv2

    small = _shrink(image, Proposals().width_px)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(small[..., ::-1]))
    search.switchToSelectiveSearchFast()
    found = np.asarray(search.process(), np.float32).reshape(-1, 4)
    found[:, 2:] += found[:, :2]
    return found * np.float32(image.shape[1] / small.shape[1])


def recall(found: Sequence[BoxArray], wanted: Sequence[BoxArray]) -> dict[str, float]:
    """Returns the shares of the expected boxes that the first 36, the first 100 and all boxes match
    at IoU 0.5."""
    hits = dict.fromkeys(FIRST, 0)
    for boxes, own in zip(found, wanted, strict=True):
        overlap = iou(boxes, own)
        for first in FIRST:
            if len(own) and len(boxes):
                hits[first] += int((overlap[:first].max(axis=0) >= 0.5).sum())
    total = max(sum(map(len, wanted)), 1)
    return {
        ("all" if first == FIRST[-1] else str(first)): round(hits[first] / total, 3)
        for first in FIRST
    }


def _array(boxes: Sequence[tuple[int, ...]]) -> BoxArray:
    return np.asarray(boxes, np.float32).reshape(-1, 4)


def main() -> None:
    """Prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--images", type=int, default=1000, help="Maximum number, evenly chosen.")
    parser.add_argument(
        "--faster-rcnn",
        type=int,
        default=0,
        metavar="N",
        help="Also measure faster_rcnn on the first N images.",
    )
    parser.add_argument(
        "--device", default="cpu", help="Device of faster_rcnn; a GPU is measured by wall clock."
    )
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    images = stored_images(options.folders, options.images)
    yolox = load_detector("yolox", {"weights": options.weights, "confidence": CONFIDENT}, "cpu")
    wanted, yolox_per_s = boxes_of(yolox, images)
    result: dict[str, object] = {
        "images": len(images),
        "confident_boxes": sum(map(len, wanted)),
        "yolox": {"images_per_cpu_s": round(yolox_per_s, 1)},
        "plain": {"recall": recall([plain_order(image) for image in images], wanted)},
    }
    settings: dict[str, Callable[[], Detector]] = {
        "fast": Proposals,
        "single": lambda: Proposals(strategy="single"),
        "fast_200": lambda: Proposals(width_px=200),
    }
    for name, make in settings.items():
        found, per_s = boxes_of(make(), images)
        boxes = round(sum(map(len, found)) / len(found))
        result[f"proposals_{name}"] = {
            "images_per_cpu_s": round(per_s, 1),
            "boxes": boxes,
            "recall": recall(found, wanted),
        }
    for architecture in ARCHITECTURES if options.faster_rcnn else ():
        per_s = faster_rcnn_per_s(architecture, images[: options.faster_rcnn], options.device)
        result[architecture] = {"images_per_cpu_s": round(per_s, 2), "device": options.device}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
