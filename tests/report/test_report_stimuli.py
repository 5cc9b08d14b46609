import numpy as np
import pytest
from PIL import Image

from bids_app.errors import BadDataError
from bids_app.report import stimulus_figure, stimulus_figure_path
from bids_app.report.page import picture_from_file
from bids_app.report.stimuli import vector_file


def arrays(n_patches=40):
    rng = np.random.default_rng(5)
    return {
        "label": "happy",
        "audio": rng.standard_normal(16000 * 20),
        "sample_rate": 16000,
        "log_mel": rng.standard_normal((2000, 64)),
        "patch_times": 0.4875 + 0.48 * np.arange(n_patches),
        "layers": [(name, rng.standard_normal((n_patches, 200))) for name in ("conv1", "fc2")],
    }


def test_drawing_can_go_into_a_page(tmp_path):
    path = stimulus_figure_path(tmp_path, "01", "happy song")
    assert path.name == "sub-01_stim-happysong_desc-features_stimulus.png"
    assert stimulus_figure(path, **arrays()) == path
    assert Image.open(path).width == 2130  # 7.1 inches of 300 dpi
    vector = vector_file(path).read_text()
    assert all(f">{words}<" in vector for words in ("happy", "conv1", "fc2", "seconds"))
    shown = picture_from_file(path, alt="a", caption="b", files=[("x.svg", "SVG")])
    assert shown.width == 1045
    assert len(shown.png) < 600_000
    assert shown.files == [("x.svg", "SVG")]


def test_a_short_sound_with_one_patch_can_be_drawn(tmp_path):
    given = arrays(1) | {"audio": np.zeros(100), "log_mel": np.zeros((1, 64))}
    assert stimulus_figure(tmp_path / "x.png", **given).stat().st_size > 1000


def test_activations_must_have_one_row_per_patch(tmp_path):
    given = arrays() | {"layers": [("conv1", np.zeros((39, 8)))]}
    with pytest.raises(BadDataError, match=r"(?s)conv1 of happy.*\(39, 8\).*\(40, n_units\)"):
        stimulus_figure(tmp_path / "x.png", **given)
    assert not (tmp_path / "x.png").exists()
