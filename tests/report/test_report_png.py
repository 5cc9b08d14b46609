import io

import numpy as np
from PIL import Image

from bids_app.report.png import as_png


def test_pixels_and_resolution_are_read_back():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = Image.open(io.BytesIO(as_png(pixels, 300)))
    np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_allclose(image.info["dpi"], 300, atol=0.01)


def test_no_resolution_is_made_up():
    image = Image.open(io.BytesIO(as_png(np.zeros((1, 1, 3), dtype=np.uint8))))
    assert "dpi" not in image.info
