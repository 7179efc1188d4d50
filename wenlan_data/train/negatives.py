"""The queues of earlier keys, and the masks of false negatives. Shapes as in `objectives.brivl`."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

SAME_ID = "id"
SAME_PAGE = "page"


class Queues:
    """Two queues filled in parallel: row k holds image key, text key, sample id and page of a pair.

    Rows are zeros, and masked as negatives, until they are filled. `fill` and `pointer` are Python
    integers: reading them from a tensor would synchronise with the GPU at every step.
    """

    def __init__(self, slots: int, width: int, device: torch.device | str = "cpu") -> None:
        self.image_KD = torch.zeros(slots, width, device=device)
        self.text_KD = torch.zeros(slots, width, device=device)
        self.ids_K = torch.zeros(slots, dtype=torch.int64, device=device)
        self.pages_K = torch.zeros(slots, dtype=torch.int64, device=device)
        self.empty_K = torch.ones(slots, dtype=torch.bool, device=device)
        self.fill = 0
        self.pointer = 0

    @property
    def slots(self) -> int:
        """The capacity: keys of each modality."""
        return len(self.ids_K)

    @torch.no_grad()
    def enqueue(self, image_GD: Tensor, text_GD: Tensor, ids_G: Tensor, pages_G: Tensor) -> None:
        """Overwrites the oldest rows with G pairs, in order; of more than `slots`, the last remain.

        Unlike in MoCo, the capacity need not be a multiple of G: writes wrap around. Where any of
        the keys is not finite the rows stay as they are, since it would make the loss of every
        later step not finite.
        """
        if not self.slots:
            return
        skipped = max(0, len(ids_G) - self.slots)
        start = (self.pointer + skipped) % self.slots
        count = len(ids_G) - skipped
        rows = (torch.arange(count, device=ids_G.device) + start) % self.slots
        # By `where` and not by `if`, for which the processor would wait for the GPU.
        is_finite = torch.isfinite(image_GD).all() & torch.isfinite(text_GD).all()
        for queue, new in (
            (self.image_KD, image_GD[skipped:].float()),
            (self.text_KD, text_GD[skipped:].float()),
            (self.ids_K, ids_G[skipped:]),
            (self.pages_K, pages_G[skipped:]),
            (self.empty_K, torch.zeros_like(rows, dtype=torch.bool)),
        ):
            queue[rows] = torch.where(is_finite, new, queue[rows])
        self.pointer = (start + count) % self.slots
        self.fill = min(self.slots, self.fill + len(ids_G))

    def ignored(self, ids_B: Tensor, pages_B: Tensor, same: Collection[str]) -> Tensor:
        """(B, K), True for empty rows and for false negatives (`false_negative_mask`)."""
        return self.empty_K | false_negative_mask(ids_B, pages_B, self.ids_K, self.pages_K, same)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint, by name; `fill` and `pointer` are in its state."""
        return {
            "image": self.image_KD,
            "text": self.text_KD,
            "ids": self.ids_K,
            "pages": self.pages_K,
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], fill: int, pointer: int) -> None:
        """Restores the queues from `tensors`.

        Where the capacity has changed, the newest keys that fit are enqueued, oldest first.
        """
        stored = len(tensors["ids"])
        if stored == self.slots:
            for name, own in self.tensors().items():
                own.copy_(tensors[name])
            self.fill, self.pointer = fill, pointer
            # Keys are L2-normalised, so that a row of zeros holds none.
            self.empty_K.copy_(~self.image_KD.any(dim=1))
            return
        oldest_first = [(pointer - fill + row) % stored for row in range(fill)] if stored else []
        rows = torch.tensor(oldest_first, dtype=torch.long)
        rows = rows[tensors["image"][rows].any(dim=1).cpu()]
        self.fill = self.pointer = 0
        self.enqueue(
            *(
                tensors[name][rows].to(self.ids_K.device)
                for name in ("image", "text", "ids", "pages")
            )
        )


def false_negative_mask(
    ids_B: Tensor, pages_B: Tensor, ids_N: Tensor, pages_N: Tensor, same: Collection[str]
) -> Tensor:
    """(B, N), True where entry n is no negative of sample b.

    `same` names the reasons: `id`, the same sample; `page`, a sample of the same page (page 0 means
    unknown and equals nothing). As negatives both would push matching pairs apart.
    """
    mask = torch.zeros(len(ids_B), len(ids_N), dtype=torch.bool, device=ids_B.device)
    if SAME_ID in same:
        mask |= ids_B[:, None] == ids_N[None]
    if SAME_PAGE in same:
        mask |= (pages_B[:, None] == pages_N[None]) & (pages_B != 0)[:, None]
    return mask
