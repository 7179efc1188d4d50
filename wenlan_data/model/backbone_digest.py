"""The digest of an image backbone with all that decides the vectors of its regions."""

import hashlib
import json

import torch

from wenlan_data.model.config import TrainConfig
from wenlan_data.model.image_tower import ImageTower


def backbone_digest(tower: ImageTower, config: TrainConfig) -> str:
    """SHA-256 over the weights and statistics of the backbone, and over the settings by which
    images become its inputs and its feature map regions; 64 hex digits."""
    image, regions = config.image, config.regions
    settings = {
        "backbone": image.backbone,
        "size_px": image.size_px,
        "mean": image.mean,
        "std": image.std,
        "regions": regions.mode,
        "count": regions.grid if regions.mode == "grid" else regions.most,
        "samples": regions.samples,
        "sampling": tower.sampling,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, value in sorted(tower.backbone.state_dict().items()):
        # The counters of BatchNorm change nothing, and older weights lack them.
        if name.endswith("num_batches_tracked"):
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        plain = value.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()
