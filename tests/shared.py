"""Where the real data lie that some tests need: `../shared/data` beside the repository, if it is
there."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"
MODEL = DATA / "models" / "yolox_nano.onnx"
PHOTOS = DATA / "photos"

needs_model = pytest.mark.skipif(not MODEL.is_file(), reason="no YOLOX-nano beside the repository")
needs_photos = pytest.mark.skipif(
    not PHOTOS.is_dir(), reason="no shared/data/photos beside the repository"
)
