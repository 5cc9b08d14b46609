"""Lag scans through the command line: plan, files, what is done again."""

from __future__ import annotations

import pandas as pd
import pytest

from bids_app.cli.run import main
from bids_app.files import read_json

OPTIONS = ("--layers", "pool4", "--lag-scan", "descriptors@loudness,envelope", "--lag-draws", "39")
ONE = ("--participant-label", "01")


@pytest.fixture(scope="module")
def out(analyzed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lags")
    assert main(analyzed.arguments("participant", *ONE, *OPTIONS, output_dir=folder)) == 0
    return folder


def test_the_plan_names_what_is_scanned(analyzed, tmp_path, capsys):
    call = analyzed.arguments(
        "participant", *ONE, *OPTIONS, "--dry-run", output_dir=tmp_path / "none"
    )
    assert main(call) == 0
    told = capsys.readouterr().out
    assert "lag scan: descriptors@loudness, lags of -6 to 12 s" in told
    maps = "model-lagscan_feature-{descriptorsloudness,envelope}_stat-{lag,r,p}_statmap.func.gii"
    assert maps in told
    more = ("--lag-scan", "cochleagram", "--dry-run")
    assert main(analyzed.arguments("participant", *more, output_dir=tmp_path / "none")) == 2
    assert "128 units" in capsys.readouterr().err


def test_files_and_page_of_a_participant(out):
    folder = out / "sub-01" / "func"
    for label in ("descriptorsloudness", "envelope"):
        stem = f"sub-01_model-lagscan_feature-{label}"
        regions = pd.read_csv(folder / f"{stem}_desc-regions_summary.tsv", sep="\t")
        assert regions["region"][0] == "auditory cortex"
        assert regions["p"].between(1 / 40, 1).all()
        curves = pd.read_csv(folder / f"{stem}_desc-curves_timeseries.tsv", sep="\t")
        assert len(curves) == 37 * len(regions)
        told = read_json(folder / f"{stem}_desc-regions_summary.json")
        assert told["Draws"] == 39
        assert told["Sources"]
        done = read_json(folder / f"sub-01_model-lagscan_desc-{label}_settings.json")
        assert set(done["Outputs"]) >= {
            f"sub-01/func/sub-01_hemi-{hemi}_space-fsaverage_den-10k_model-lagscan_feature-{label}"
            f"_stat-{stat}_statmap.func.gii"
            for hemi in "LR"
            for stat in ("lag", "r", "p")
        }
    page = (out / "sub-01.html").read_text()
    assert "When the brain follows envelope" in page
    assert "Auditory cortex: " in page


def test_nothing_is_done_twice_and_other_draws_are_refused(analyzed, out, capsys):
    done = out / "sub-01" / "func" / "sub-01_model-lagscan_desc-envelope_settings.json"
    before = done.stat().st_mtime_ns
    assert main(analyzed.arguments("participant", *ONE, *OPTIONS, output_dir=out)) == 0
    assert done.stat().st_mtime_ns == before
    more = (*OPTIONS[:-1], "19")
    assert main(analyzed.arguments("participant", *ONE, *more, output_dir=out)) == 16
    assert "n_draws: 39 -> 19" in capsys.readouterr().err
