"""The text tower: the last hidden states of a BERT, and their summary."""

from torch import Tensor, nn

from wenlan_data.model.attention import AttentionShape, Summary


class TextTower(nn.Module):
    """Token ids to one vector a text (brivl.md 1).

    `mask_encoder` False: the encoder sees padding too, as in the published code; it is left out of the mean only.
    """

    def __init__(
        self,
        backbone: nn.Module,
        width: int,
        embedding: int,
        shape: AttentionShape,
        *,
        mask_encoder: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.summary = Summary(width, embedding, shape)
        self.mask_encoder = mask_encoder

    def forward(self, tokens_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """(B, E), not normalised. The mask is True on tokens, [CLS] and [SEP] among them."""
        mask = mask_BL.long() if self.mask_encoder else None
        states_BLC = self.backbone(input_ids=tokens_BL, attention_mask=mask).last_hidden_state
        out_BE: Tensor = self.summary(states_BLC, mask_BL)
        return out_BE
