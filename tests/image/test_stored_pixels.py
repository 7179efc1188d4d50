import io

import numpy as np
import pytest
from PIL import Image

from tests.image.modes import P3_TO_XYZ, profile
from wenlan_data.errors import DamageError
from wenlan_data.image.normalise import normalise
from wenlan_data.image.stored_pixels import stored_pixels
from wenlan_data.load.decode import decode_turbo
from wenlan_data.testing import make_image


def jpeg_of(mode: str, icc: bytes | None = None) -> bytes:
    out = io.BytesIO()
    image = Image.open(io.BytesIO(make_image(1, width=320, height=320))).convert(mode)
    image.save(out, "JPEG", quality=92, icc_profile=icc)
    return normalise(out.getvalue(), max_side_px=1024, jpeg_quality=92).jpeg


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("with_profile", [True, False])
def test_a_detector_sees_the_levels_in_the_file_as_plain_decoders_and_the_loader_do(
    mode: str, with_profile: bool
) -> None:
    jpeg = jpeg_of(mode, profile(P3_TO_XYZ) if with_profile else None)
    seen = stored_pixels(jpeg)
    loaded = np.empty_like(seen)
    decode_turbo(memoryview(jpeg), loaded)
    assert np.array_equal(seen, loaded)
    assert np.array_equal(seen, np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")))


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_bytes_that_cannot_be_decoded_raise_damage_error(keep: int) -> None:
    with pytest.raises(DamageError, match="a stored image cannot be decoded"):
        stored_pixels(jpeg_of("RGB")[:keep])
