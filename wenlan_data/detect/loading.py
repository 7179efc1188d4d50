"""A detector by name and parameters, as a recipe states it."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

from wenlan_data import plugins
from wenlan_data.detect.weights import known_digest
from wenlan_data.errors import RecipeError
from wenlan_data.protocols import Detector


def with_absolute_weights(value: object) -> object:
    """A copy of a recipe's value in which paths of weights are absolute, at any depth."""
    if isinstance(value, list | tuple):
        return [with_absolute_weights(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: with_absolute_weights(one) for key, one in value.items()}
    weights = found.get("weights")
    if isinstance(weights, str) and Path(weights).is_file():
        found["weights"] = str(Path(weights).absolute())
    return found


def load_detector(name: str, parameters: Mapping[str, object], device: str) -> Detector:
    """The detector of that name on that device, without its weights yet. Raises `RecipeError`."""
    kind = plugins.find(plugins.DETECTORS, name)
    # A detector without the field has no choice of device: the key is then an error, not ignored.
    if any(field.name == "device" for field in fields(kind)):
        parameters = {**parameters, "device": device}
    elif device != "cpu":
        raise RecipeError(
            f"device: {name} runs on the processor alone: leave device out, or write cpu"
        )
    detector = plugins.build(plugins.DETECTORS, name, parameters)
    if not isinstance(detector, Detector):
        raise RecipeError(
            f"{name} is not a complete detector: implement batch_size, needs_pixels, from_source,"
            " prepare, load and load_boxes, see wenlan_data.protocols.Detector"
        )
    return detector


def resolved_detector(detector: Detector) -> dict[str, object]:
    """The detector's parameters as JSON types, with the SHA-256 of weights that are already on
    disk."""
    value: dict[str, object] = asdict(detector)
    if value.get("weights") and not value["weights_sha256"]:
        value["weights_sha256"] = known_digest(str(value["weights"]))
    return value
