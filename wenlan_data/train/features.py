"""Region features in place of images: whether they fit the shards and the towers of a run."""

from collections.abc import Sequence
from pathlib import Path

from wenlan_data.errors import RecipeError
from wenlan_data.load.region_features import (
    MAKE_AGAIN,
    RegionFeatures,
    RegionsHeader,
    ShardIdentity,
    features_path,
    read_regions_header,
    shard_identities,
)
from wenlan_data.model.backbone_digest import backbone_digest
from wenlan_data.model.config import TrainConfig
from wenlan_data.model.image_tower import ImageTower


def open_features(
    config: TrainConfig, shards: Sequence[Path], tower: ImageTower, *, weights: bool = True
) -> RegionFeatures | None:
    """The region features that the config names, after a look at every file; None without.

    Raises `UsageError` where a shard has no file, `DamageError` where a file is corrupt, and
    `RecipeError` where one was made of another shard or by another backbone. Without `weights`, as
    for towers without memory, the backbone is not compared.
    """
    if not config.image.features:
        return None
    folder = Path(config.image.features)
    digest = backbone_digest(tower, config) if weights else None
    found: RegionsHeader | None = None
    for shard in shard_identities(shards):
        path = features_path(folder, shard.path)
        header = read_regions_header(path)
        _check(header, shard, path, tower, digest)
        if found is not None and header.dtype is not found.dtype:
            raise RecipeError(f"{path}: {header.dtype}, the others {found.dtype}: {MAKE_AGAIN}")
        found = header
    if found is None:
        return None
    return RegionFeatures(
        folder=folder, regions=found.regions, width=found.width, dtype=found.dtype
    )


def _check(
    header: RegionsHeader,
    shard: ShardIdentity,
    path: Path,
    tower: ImageTower,
    digest: str | None,
) -> None:
    # A bare tar is compared by its size: its hash would have to be computed at every start.
    is_other_shard = header.shard_bytes != shard.bytes or (
        shard.sha256 and header.shard_sha256 != shard.sha256
    )
    if is_other_shard:
        raise RecipeError(f"{path}: made of another {shard.path.name}: {MAKE_AGAIN}")
    is_other_shape = (header.regions, header.width) != (tower.regions, tower.width)
    if is_other_shape or (digest and header.backbone != digest):
        raise RecipeError(
            f"{path}: made by another image backbone, with other weights or other settings of "
            f"image and regions: use the config and weights that made it, or {MAKE_AGAIN}"
        )
