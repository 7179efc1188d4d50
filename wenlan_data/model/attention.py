"""Attention pooling, which both towers end in: encoder layers, a masked mean, a projection head."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from wenlan_data.errors import RecipeError
from wenlan_data.model.standardise import Standardise


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionShape:
    """The hyperparameters of `AttentionPooling`."""

    layers: int
    heads: int
    feed_forward: int
    dropout: float
    head_width: int = 0
    """Width between the two layers of the projection head; 0 for the width of its output."""
    head_dropout: float = 0.0
    standardise: bool = False


class AttentionPooling(nn.Module):
    """Pools (B, N, C) vectors with a (B, N) mask to (B, E).

    L2 normalisation, encoder layers, masked mean, `Standardise` where the config has it, projection
    head. There is no positional embedding: regions are a set, and tokens have theirs from BERT.
    """

    def __init__(self, width: int, embedding: int, shape: AttentionShape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, shape) for _ in range(shape.layers))
        self.standard = Standardise(width) if shape.standardise else nn.Identity()
        self.head = ProjectionHead(
            width, shape.head_width or embedding, embedding, shape.head_dropout
        )
        self.recompute = False
        """Whether activations are recomputed in the backward pass instead of being stored."""

    def forward(self, vectors_BNC: Tensor, mask_BN: Tensor) -> Tensor:
        """(B, E), not normalised. The mask is True for valid vectors; each row has at least one."""
        hidden_BNC = l2_normalise(vectors_BNC)
        for layer in self.layers:
            if self.recompute and self.training:
                hidden_BNC = checkpoint(layer, hidden_BNC, mask_BN, use_reentrant=False)
            else:
                hidden_BNC = layer(hidden_BNC, mask_BN)
        pooled_BE: Tensor = self.head(self.standard(masked_mean(hidden_BNC, mask_BN)))
        return pooled_BE


class EncoderLayer(nn.Module):
    """A post-norm transformer layer with ReLU, as `torch.nn.TransformerEncoderLayer` has by
    default.

    Its parameters have torch's names, so that released weights fit.
    """

    def __init__(self, width: int, shape: AttentionShape) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, shape.heads, shape.dropout)
        self.linear1 = nn.Linear(width, shape.feed_forward)
        self.linear2 = nn.Linear(shape.feed_forward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, vectors_BNC: Tensor, mask_BN: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        attended = self.norm1(vectors_BNC + self.dropout(self.self_attn(vectors_BNC, mask_BN)))
        inner = self.dropout(functional.relu(self.linear1(attended)))
        out_BNC: Tensor = self.norm2(attended + self.dropout(self.linear2(inner)))
        return out_BNC


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention to the positions where the mask is True."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise RecipeError(
                f"attention.heads: a width of {width} cannot be divided into {heads} heads: "
                "choose a divisor"
            )
        self.heads = heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, vectors_BNC: Tensor, mask_BN: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        batch, positions, width = vectors_BNC.shape
        # The bias of the keys shifts all logits of a query by one constant, to which softmax is
        # invariant. Its gradient is zero but for rounding, which Adam would scale to steps of full
        # length. So it keeps the value that was loaded.
        query, key, value = self.in_proj_bias.chunk(3)
        packed = functional.linear(
            vectors_BNC, self.in_proj_weight, torch.cat([query, key.detach(), value])
        )
        query_key_value = packed.view(batch, positions, 3, self.heads, width // self.heads).permute(
            2, 0, 3, 1, 4
        )
        attended = functional.scaled_dot_product_attention(
            query_key_value[0],
            query_key_value[1],
            query_key_value[2],
            attn_mask=mask_BN[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        out_BNC: Tensor = self.out_proj(attended.transpose(1, 2).reshape(batch, positions, width))
        return out_BNC


class ProjectionHead(nn.Module):
    """Linear, ReLU, linear, without normalisation.

    Dropout precedes each linear layer; the released head has none.
    """

    def __init__(self, width: int, inner: int, embedding: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, embedding)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors_BC: Tensor) -> Tensor:
        """(B, C) to (B, E)."""
        inner = functional.relu(self.fc1(self.dropout(vectors_BC)))
        out_BE: Tensor = self.fc2(self.dropout(inner))
        return out_BE


def masked_mean(vectors_BNC: Tensor, mask_BN: Tensor) -> Tensor:
    """(B, C): the mean over the positions where the mask is True."""
    weights = mask_BN.to(vectors_BNC.dtype)
    return (vectors_BNC * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)


def l2_normalise(vectors: Tensor) -> Tensor:
    """Divides vectors by their L2 norm along the last axis, in fp32."""
    return functional.normalize(vectors.float(), dim=-1)
