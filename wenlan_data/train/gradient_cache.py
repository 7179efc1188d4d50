"""A step of in-batch contrast over several micro-batches, with the negatives of all of them.

Gradients of one micro-batch need the vectors of the others. So the vectors of all are computed
first without gradients, then the loss and its gradient by each vector, and then each micro-batch
again, whose backward pass starts from the gradients of its vectors (Gao et al. 2021, "Scaling Deep
Contrastive Learning Batch Size under Memory Limited Setup", arXiv 2101.06983). The result is that
of one large batch; each forward pass is done twice.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from wenlan_data.model.inputs import Inputs

Vectors = tuple[Tensor, Tensor, Tensor]
"""Image and text vectors (B, E) and 1 / temperature, as the towers return them."""


def backward_in_two_passes(
    inputs: Sequence[Inputs],
    embed: Callable[[Inputs], Vectors],
    loss_of: Callable[[Tensor, Tensor, Tensor], Tensor],
    before_each: Callable[[int], AbstractContextManager[None]],
) -> None:
    """Adds the gradients of the loss over all micro-batches to the parameters.

    `embed` is called twice for each of the `inputs`, inside of what `before_each` returns for its
    number and pass (0, 1, ... and then again): dropout must draw the same numbers both times.
    `loss_of` gets all image vectors, all text vectors and 1 / temperature, and returns a scalar.
    """
    with torch.no_grad():
        first: list[Vectors] = []
        for number, one in enumerate(inputs):
            with before_each(number):
                first.append(embed(one))
    image = torch.cat([vectors[0] for vectors in first]).requires_grad_()
    text = torch.cat([vectors[1] for vectors in first]).requires_grad_()
    scale = first[0][2].clone().requires_grad_()
    backward(loss_of(image, text, scale))
    sizes = [len(vectors[0]) for vectors in first]
    gradients = zip(
        torch.split(_gradient(image), sizes), torch.split(_gradient(text), sizes), strict=True
    )
    for number, (one, (by_image, by_text)) in enumerate(zip(inputs, gradients, strict=True)):
        with before_each(len(inputs) + number):
            image_n, text_n, scale_n = embed(one)
            # Its gradient by each parameter is that of the loss.
            product = (image_n * by_image).sum() + (text_n * by_text).sum()
            product = product + scale_n * _gradient(scale) / len(inputs)
            backward(product)


def backward(loss: Tensor) -> None:
    """Adds the gradients of a scalar to its leaves."""
    loss.backward()  # type: ignore[no-untyped-call] # torch's own


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
