"""Conversion of the released weights from the names of BriVL's code to ours.

The code is BAAI-WuDao/BriVL, `models/vl_model.py` at bb8d95b.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from wenlan_data.errors import UsageError

_TOWERS = {
    "learnable.imgencoder.": "image.",
    "learnable.imgencoder_mom.": "image_key.",
    "learnable.textencoder.": "text.",
    "learnable.textencoder_mom.": "text_key.",
}
_PARTS = {
    "learnable.imgFC.": "summary.head.",
    "learnable.textFC.": "summary.head.",
    "learnable.imgAtt.layers.": "summary.layers.",
    "learnable.textAtt.layers.": "summary.layers.",
    "learnable.max_pool.0.": "projection.",
    "backbone.bert.": "backbone.",
}
# Tensors of the backbones that no forward pass of the towers reads.
_UNUSED = ("backbone.classifier.", "backbone.pooler.", "backbone.embeddings.position_ids")


def is_released(names: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of the released model."""
    return any(name.removeprefix("module.").startswith("learnable.imgencoder.") for name in names)


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames to `image.`, `text.`, `image_key.`, `text_key.`, `image_queue` and `text_queue`.

    Queues are transposed to (K, D). Raises `UsageError` for a name that the released model does not
    have.
    """
    renamed: dict[str, Tensor] = {}
    for original, value in state.items():
        name = original.removeprefix("module.")
        if name in ("image_queue", "img_queue", "text_queue"):
            # Released queues have one key a column.
            renamed[name.replace("img_", "image_")] = value.T.contiguous()
        elif not name.endswith("_queue_ptr"):
            ours = _rename(name)
            if not ours.partition(".")[2].startswith(_UNUSED):
                # The released projection is a 1x1 convolution, ours a linear layer.
                renamed[ours] = value.flatten(1) if ours.endswith("projection.weight") else value
    return renamed


def load_released(towers: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fills `towers` (with the children `image` and `text`) from a released state dict.

    Raises `UsageError` naming tensors that are missing, unknown, or of another shape.
    """
    ours = from_released(state)
    expected = {
        name: value
        for name, value in towers.state_dict().items()
        if name.startswith(("image.", "text."))
    }
    given = {name: value for name, value in ours.items() if name.startswith(("image.", "text."))}
    missing = sorted(
        set(expected)
        - set(given)
        - {name for name in expected if name.endswith("num_batches_tracked")}
    )
    unknown = sorted(set(given) - set(expected))
    wrong = [
        name for name in set(expected) & set(given) if expected[name].shape != given[name].shape
    ]
    if missing or unknown or wrong:
        raise UsageError(
            f"the weights do not fit: missing {missing[:3]}, unknown {unknown[:3]}, other shape "
            f"{wrong[:3]}: use the config whose backbones and embedding they were made with"
        )
    towers.load_state_dict(given, strict=False)


def _rename(name: str) -> str:
    for released_tower, tower in _TOWERS.items():
        if name.startswith(released_tower):
            rest = name.removeprefix(released_tower)
            for released_part, part in _PARTS.items():
                if rest.startswith(released_part):
                    return tower + part + rest.removeprefix(released_part)
            return tower + rest
    raise UsageError(
        f"{name!r} is no parameter of the released BriVL: give its state dict, nothing around it"
    )
