"""The text tower: the last hidden states of a BERT, and attention pooling over them."""

from torch import Tensor, nn

from wenlan_data.model.attention import AttentionPooling, AttentionShape


class TextTower(nn.Module):
    """Token ids to one vector a text, as in the released code (BAAI-WuDao/BriVL at bb8d95b).

    `mask_encoder` False is the released forward pass: the encoder attends to padding too, which is
    left out of attention pooling only.
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
        # The attribute is part of the tensor names in checkpoints.
        self.summary = AttentionPooling(width, embedding, shape)
        self.mask_encoder = mask_encoder

    def forward(self, tokens_BL: Tensor, mask_BL: Tensor) -> Tensor:
        """(B, E), not normalised. The mask is True for tokens, [CLS] and [SEP] included."""
        mask = mask_BL.long() if self.mask_encoder else None
        states_BLC = self.backbone(input_ids=tokens_BL, attention_mask=mask).last_hidden_state
        vectors_BE: Tensor = self.summary(states_BLC, mask_BL)
        return vectors_BE
