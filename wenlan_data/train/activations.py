"""Bytes that a forward pass keeps for its backward pass, without running either."""

from collections.abc import Mapping

import torch
from torch import Tensor

from wenlan_data.model.config import TrainConfig
from wenlan_data.model.inputs import Inputs
from wenlan_data.model.towers import make_towers

COUNTED = 2
"""Samples of the forward pass that is counted; everything kept is proportional to them."""


def activation_bytes(config: TrainConfig, encoder: Mapping[str, object], dtype: torch.dtype) -> int:
    """Returns the bytes that autograd keeps for each sample in a forward pass of the towers, if all
    values are of `dtype`; without parameters.

    Counted on meta tensors, which have shapes and no memory, so on any machine. With `recompute`
    without the block that is being computed again.
    """
    # Meta tensors have no values, and the encoders look at those of their mask: as in the released
    # forward pass, they get none. It is a few bytes a token.
    maskless = config.model_copy(update={"compat": "released"})
    with torch.device("meta"):
        towers = make_towers(maskless, config.text.small.vocabulary, encoder).to(dtype)
        towers.set_training()
        inputs = _inputs(config, dtype)
    # The storages are held, so that no other one gets the id of one that was released.
    own = {id(one.untyped_storage()): one for one in (*towers.parameters(), *towers.buffers())}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = id(tensor.untyped_storage())
        if storage not in own:
            kept[storage] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        towers(inputs)
    return sum(one.untyped_storage().nbytes() for one in kept.values()) // COUNTED


def _inputs(config: TrainConfig, dtype: torch.dtype) -> Inputs:
    size, regions, tokens = config.image.size_px, config.regions.max_boxes, config.text.max_tokens
    return Inputs(
        image=torch.zeros(COUNTED, 3, size, size, dtype=dtype),
        boxes=torch.zeros(COUNTED, regions, 4),
        box_mask=torch.ones(COUNTED, regions, dtype=torch.bool),
        tokens=torch.zeros(COUNTED, tokens, dtype=torch.long),
        token_mask=torch.ones(COUNTED, tokens, dtype=torch.bool),
    )
