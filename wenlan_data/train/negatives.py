"""The queues of earlier keys, and which entries are no negatives. Shapes as in `objectives.moco`."""

from collections.abc import Collection

import torch
from torch import Tensor

SAME_ID = "id"
SAME_PAGE = "page"


class Queues:
    """Two queues filled side by side: slot k holds the image key and the text key of one sample, its id and its page.

    Slots are empty (zeros, ignored) until they are filled. Pointer and fill are host integers: a tensor would force
    the device to wait at every step.
    """

    def __init__(self, slots: int, width: int, device: torch.device | str = "cpu") -> None:
        self.image_KD = torch.zeros(slots, width, device=device)
        self.text_KD = torch.zeros(slots, width, device=device)
        self.ids_K = torch.zeros(slots, dtype=torch.int64, device=device)
        self.pages_K = torch.zeros(slots, dtype=torch.int64, device=device)
        self.fill = 0
        self.pointer = 0

    @property
    def slots(self) -> int:
        """How many keys of each modality there is room for."""
        return len(self.ids_K)

    @torch.no_grad()
    def put(self, image_GD: Tensor, text_GD: Tensor, ids_G: Tensor, pages_G: Tensor) -> None:
        """Write G pairs over the oldest, in order. Of more than `slots`, the last stay."""
        if not self.slots:
            return
        skipped = max(0, len(ids_G) - self.slots)
        start = (self.pointer + skipped) % self.slots
        count = len(ids_G) - skipped
        rows = (torch.arange(count, device=ids_G.device) + start) % self.slots
        self.image_KD[rows] = image_GD[skipped:].float()
        self.text_KD[rows] = text_GD[skipped:].float()
        self.ids_K[rows] = ids_G[skipped:]
        self.pages_K[rows] = pages_G[skipped:]
        self.pointer = (start + count) % self.slots
        self.fill = min(self.slots, self.fill + len(ids_G))

    def ignored(self, ids_B: Tensor, pages_B: Tensor, same: Collection[str]) -> Tensor:
        """(B, K), True for empty slots and for those of the same sample or page, as `same` says."""
        empty = torch.arange(self.slots, device=ids_B.device) >= self.fill
        return empty | same_entries(ids_B, pages_B, self.ids_K, self.pages_K, same)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a checkpoint holds, besides `fill` and `pointer`."""
        return {
            "image": self.image_KD,
            "text": self.text_KD,
            "ids": self.ids_K,
            "pages": self.pages_K,
        }

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor], fill: int, pointer: int) -> None:
        """Take what `tensors` holds. Into another number of slots, the newest that fit are taken, oldest first."""
        if len(tensors["ids"]) == self.slots:
            for name, mine in self.tensors().items():
                mine.copy_(tensors[name])
            self.fill, self.pointer = fill, pointer
            return
        stored = len(tensors["ids"])
        order = [(pointer - fill + row) % stored for row in range(fill)] if stored else []
        rows = torch.tensor(order, dtype=torch.long)
        self.fill = self.pointer = 0
        self.put(
            *(
                tensors[name][rows].to(self.ids_K.device)
                for name in ("image", "text", "ids", "pages")
            )
        )


def same_entries(
    ids_B: Tensor, pages_B: Tensor, ids_N: Tensor, pages_N: Tensor, same: Collection[str]
) -> Tensor:
    """(B, N), True for the same sample (`id` in `same`) or one of the same page (`page`; 0 is no page)."""
    found = torch.zeros(len(ids_B), len(ids_N), dtype=torch.bool, device=ids_B.device)
    if SAME_ID in same:
        found |= ids_B[:, None] == ids_N[None]
    if SAME_PAGE in same:
        found |= (pages_B[:, None] == pages_N[None]) & (pages_B != 0)[:, None]
    return found
