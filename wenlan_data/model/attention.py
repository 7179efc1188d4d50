"""What both towers end in: self-attention over regions or tokens, a masked mean, two linear layers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from wenlan_data.errors import RecipeError
from wenlan_data.model.standardise import Standard


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionShape:
    """Post-norm layers with ReLU, as `torch.nn.TransformerEncoderLayer` has them by default."""

    layers: int
    heads: int
    feed_forward: int
    dropout: float
    head_width: int = 0
    """Values between the two linear layers of the head; 0 for as many as it gives."""
    head_dropout: float = 0.0
    standardise: bool = False


class Summary(nn.Module):
    """(B, N, C) vectors and a (B, N) mask to (B, E): unit length, attention, masked mean, `Standard` if wanted, MLP.

    There is no positional embedding: regions are a set, and tokens carry theirs from the encoder before.
    """

    def __init__(self, width: int, embedding: int, shape: AttentionShape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, shape) for _ in range(shape.layers))
        self.standard = Standard(width) if shape.standardise else nn.Identity()
        self.head = Mlp(width, shape.head_width or embedding, embedding, shape.head_dropout)
        self.recompute = False
        """Whether a layer's insides are computed again in the backward pass instead of being kept."""

    def forward(self, vectors_BNC: Tensor, mask_BN: Tensor) -> Tensor:
        """(B, E), not normalised. The mask is True where there is something; no row may be empty."""
        found = unit(vectors_BNC)
        for layer in self.layers:
            if self.recompute and self.training:
                found = checkpoint(layer, found, mask_BN, use_reentrant=False)
            else:
                found = layer(found, mask_BN)
        pooled: Tensor = self.head(self.standard(masked_mean(found, mask_BN)))
        return pooled


class EncoderLayer(nn.Module):
    """One layer, with the parameter names of torch's own, so that released weights fit."""

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
        found = self.norm1(vectors_BNC + self.dropout(self.self_attn(vectors_BNC, mask_BN)))
        inner = self.dropout(functional.relu(self.linear1(found)))
        layer_BNC: Tensor = self.norm2(found + self.dropout(self.linear2(inner)))
        return layer_BNC


class SelfAttention(nn.Module):
    """Scaled dot products over the places where the mask is True."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise RecipeError(
                f"attention.heads: a width of {width} cannot be cut into {heads} heads: choose a divisor"
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
        batch, places, width = vectors_BNC.shape
        # A bias of the keys shifts all logits of a query alike: its gradient is zero but for rounding, and Adam
        # would make steps of full length from that rounding. So it stays as it was loaded.
        query, key, value = self.in_proj_bias.chunk(3)
        packed = functional.linear(
            vectors_BNC, self.in_proj_weight, torch.cat([query, key.detach(), value])
        )
        parts = packed.view(batch, places, 3, self.heads, width // self.heads).permute(
            2, 0, 3, 1, 4
        )
        found = functional.scaled_dot_product_attention(
            parts[0],
            parts[1],
            parts[2],
            attn_mask=mask_BN[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
        )
        out_BNC: Tensor = self.out_proj(found.transpose(1, 2).reshape(batch, places, width))
        return out_BNC


class Mlp(nn.Module):
    """Linear, ReLU, linear; no norm. Dropout, of which the published head has none, before each of the two."""

    def __init__(self, width: int, inner: int, embedding: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, embedding)
        self.dropout = nn.Dropout(dropout)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, width) to (B, embedding)."""
        found: Tensor = self.fc2(self.dropout(functional.relu(self.fc1(self.dropout(vectors)))))
        return found


def masked_mean(vectors_BNC: Tensor, mask_BN: Tensor) -> Tensor:
    """(B, C): the mean over the places where the mask is True."""
    weights = mask_BN.to(vectors_BNC.dtype)
    return (vectors_BNC * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)


def unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1 along the last axis, in fp32."""
    return functional.normalize(vectors.float(), dim=-1)
