"""Weights with the names of BAAI-WuDao/BriVL `models/vl_model.py` (bb8d95b), as our towers hold them."""

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
# Parts of the backbones that no forward pass of the towers reads.
_UNUSED = ("backbone.classifier.", "backbone.pooler.", "backbone.embeddings.position_ids")


def is_released(names: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of the published model."""
    return any(name.removeprefix("module.").startswith("learnable.imgencoder.") for name in names)


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names: `image.`, `text.`, `image_key.`, `text_key.` towers, and `image_queue`, `text_queue` as rows (K, D).

    Raises `UsageError` for a name that the published model does not have.
    """
    found: dict[str, Tensor] = {}
    for original, value in state.items():
        name = original.removeprefix("module.")
        if name in ("image_queue", "img_queue", "text_queue"):
            found[name.replace("img_", "image_")] = value.T.contiguous()
        elif not name.endswith("_queue_ptr"):
            ours = _rename(name)
            if not ours.partition(".")[2].startswith(_UNUSED):
                found[ours] = value.flatten(1) if ours.endswith("projection.weight") else value
    return found


def load_released(towers: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fill `towers` (with the children `image` and `text`) from a published state dict.

    Raises `UsageError` naming what is missing, what is unknown, and what has another shape.
    """
    ours = from_released(state)
    wanted = {
        name: value
        for name, value in towers.state_dict().items()
        if name.startswith(("image.", "text."))
    }
    given = {name: value for name, value in ours.items() if name.startswith(("image.", "text."))}
    missing = sorted(
        set(wanted) - set(given) - {name for name in wanted if name.endswith("num_batches_tracked")}
    )
    unknown = sorted(set(given) - set(wanted))
    wrong = [name for name in set(wanted) & set(given) if wanted[name].shape != given[name].shape]
    if missing or unknown or wrong:
        raise UsageError(
            f"these weights do not fit: missing {missing[:3]}, unknown {unknown[:3]}, other shape {wrong[:3]}: "
            "choose the config whose backbones and embedding they were made with"
        )
    towers.load_state_dict(given, strict=False)


def _rename(name: str) -> str:
    for theirs, ours in _TOWERS.items():
        if name.startswith(theirs):
            rest = name.removeprefix(theirs)
            for part, mine in _PARTS.items():
                if rest.startswith(part):
                    return ours + mine + rest.removeprefix(part)
            return ours + rest
    raise UsageError(
        f"{name!r} is no parameter of the published BriVL: give its state dict, nothing around it"
    )
