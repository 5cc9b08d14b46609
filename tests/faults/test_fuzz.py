"""Readers of what people write: any bytes give a value or an error of ours, never another one."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from input_trees import Tree
from planning import plan_study

from bids_app.analyses.folder.read import RECORD, read_completed
from bids_app.errors import BadDataError, MusencError
from bids_app.features.network import read_state
from bids_app.features.precomputed import load_precomputed
from bids_app.files import read_json
from bids_app.inputs.conditions import read_conditions, read_rating_differences
from bids_app.inputs.confounds import select_confounds
from bids_app.inputs.files import read_gifti_header, read_object
from bids_app.inputs.locate import Located, check_descriptions, writer_of
from bids_app.inputs.rating_files import read_rating_files
from bids_app.inputs.ratings import read_ratings_table
from bids_app.inputs.seeds import SeedRegion
from bids_app.inputs.sidecars import resolve_timing
from bids_app.inputs.sound import examine_sound
from bids_app.inputs.stimuli import read_stimulus_table, rows_of_events
from bids_app.inputs.strategies import read_strategy
from bids_app.inputs.tables import read_tsv
from bids_app.outputs import programs_of
from bids_app.recognition.clips import read_clip_features, read_clip_labels
from bids_app.surface.atlas import read_atlas
from bids_app.surface.cortex import read_cortex_mask
from bids_app.surface.gifti import read_gifti, read_surface
from bids_app.surface.labels import read_label
from bids_app.surface.painted import read_parcels
from bids_app.surface.project import read_cifti

WORDS = st.sampled_from(
    (
        *("onset", "duration", "stim_file", "task", "time", "stimulus", "clip", "label", "csf"),
        *("Enjoyment", "trans_x", "rot_z", "a_comp_cor_00", "a.wav", "../a"),
        *("bids::stimuli/a.wav", "bids:raw:%2e%2e/a", "bids:x", "file:///a.wav", "NA", "TRUE"),
        *("1", "-3.5", "1e999", "nan", "inf", "n/a", "0x1", "12345678901234567890", "é", "\x00"),
        *("\x85", "\u2028", '"', "'", ",", ";", "#", ""),
    )
)
TABLES = st.lists(st.lists(WORDS, max_size=7).map("\t".join), max_size=9).map("\n".join)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
BYTES = st.one_of(
    st.binary(max_size=300),
    TABLES.map(lambda text: text.encode("utf-8", "surrogatepass")),
    TABLES.map(lambda text: text.encode("utf-16")),
    TABLES.map(lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()),
    TREES.map(lambda tree: json.dumps(tree).encode()),
)


def _rating_file(path: Path) -> object:
    path.with_suffix(".json").write_text('{"SamplingFrequency": 5, "StartTime": 0}')
    return read_rating_files([path], path.parent, [], {"a": 30.0})


def _described(path: Path) -> object:
    check_descriptions(Located(None, (("x", path.parent),), ""))
    return writer_of(path.parent), programs_of(read_object(path))


def _gifti_head(path: Path) -> object:
    try:
        return read_gifti_header(path)
    except ValueError as error:  # what it is said to raise
        raise BadDataError("No head of a GIFTI file.", where=path, found=error) from error


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "tsv": ("x.tsv", read_tsv),
    "stimuli": ("x.tsv", read_stimulus_table),
    "events": ("sub-1_events.tsv", lambda p: rows_of_events(p, p.parent)),
    "confounds": ("x.tsv", lambda p: select_confounds(p, None, "24P", 3)),
    "confounds_json": (
        "x.json",
        lambda p: select_confounds(_confounds(p.parent), p, "motion6+acompcor6", 3),
    ),
    "ratings": ("x.tsv", lambda p: read_ratings_table(p, {"a": 30.0})),
    "ratings_csv": ("x.csv", lambda p: read_ratings_table(p, {"a": 30.0})),
    "ratings_beh": ("task-a_beh.tsv", _rating_file),
    "ratings_stim": ("task-a_stim.tsv.gz", _rating_file),
    "strategy": ("x.yml", read_strategy),
    "json": ("x.json", read_json),
    "sidecar": ("x.json", read_object),
    "description": ("dataset_description.json", _described),
    "clips": ("x.tsv", read_clip_features),
    "clips_npz": ("x.npz", read_clip_features),
    "clip_labels": ("x.csv", read_clip_labels),
    "features": ("a.tsv", lambda p: load_precomputed(p.parent, "a", np.arange(3.0), 1.0)),
    "features_gz": ("a.tsv.gz", lambda p: load_precomputed(p.parent, "a", np.arange(3.0), 1.0)),
    "features_h5": ("x.h5", lambda p: load_precomputed(p, "a", np.arange(3.0), 1.0)),
    "mask": ("x.txt", lambda p: read_cortex_mask([p], 4)),
    "mask_gifti": ("x.shape.gii", lambda p: read_cortex_mask([p], 4)),
    "regions": ("x.tsv", read_parcels),
    "regions_cifti": ("x.ptseries.nii", read_parcels),
    "cifti": ("x.dtseries.nii", read_cifti),
    "surface": ("x.surf.gii", read_surface),
    "annotation": ("x.annot", lambda p: read_atlas(f"a={p},{p}", 4)),
    "labels_gifti": ("x.label.gii", lambda p: read_atlas(f"a={p},{p}", 4)),
    "label": ("x.label", lambda p: read_label(SeedRegion(str(p), "label", path=p, hemi="L"), 4)),
    "sound": ("x.wav", examine_sound),
    "sound_mpeg": ("x.mp3", examine_sound),
    "sound_ogg": ("x.ogg", examine_sound),
    "network_weights": ("x.pt", read_state),
    "conditions": ("x.tsv", read_conditions),
    "differences": ("x.tsv", lambda p: read_rating_differences(p, column="Enjoyment")),
    "record": ("x.json", lambda p: read_completed(p, **RECORD)),
    "gifti": ("x.func.gii", read_gifti),
    "gifti_head": ("x.func.gii", _gifti_head),
}


def _confounds(folder: Path) -> Path:
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    names += [f"a_comp_cor_{n:02d}" for n in range(8)]
    path = folder / "table.tsv"
    path.write_text("\n".join(["\t".join(names)] + ["\t".join("0" for _ in names)] * 3))
    return path


@pytest.mark.parametrize("reader", READERS)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=BYTES)
@example(b"\xff\xfe")
@example(b"[" * 5000)
@example(b"\x1f\x8b\x08\x00" + bytes(20))
@example(b"PK\x03\x04" + bytes(20))
@example(b'<?xml version="1.0"?><GIFTI NumberOfDataArrays="x"/>')
@example(gzip.compress(b"1\n2\n3\n", mtime=0))
@example(gzip.compress(b"\xff\xff\n", mtime=0)[:-4])
@example(b"time\ta\n0\t1\n1\t2\n2\t3\n")
def test_any_bytes_give_a_value_or_our_error(tmp_path, reader, content):
    name, read = READERS[reader]
    path = tmp_path / name
    path.write_bytes(content)
    try:
        value, error = read(path), None
    except MusencError as raised:  # any other exception fails the test
        value, error = None, raised
    if error is None:
        assert value is not None or content.strip() == b"null"
    else:
        assert error.exit_code in (16, 65, 66)
        assert str(tmp_path) in str(error)
        assert "Traceback" not in str(error)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                [
                    "RepetitionTime",
                    "StartTime",
                    "DelayTime",
                    "SliceTiming",
                    "SliceTimingCorrected",
                    "VolumeTiming",
                    "AcquisitionDuration",
                ]
            ),
            TREES,
            max_size=5,
        ),
        min_size=2,
        max_size=2,
    )
)
def test_any_sidecar_gives_times_that_are_numbers(contents):
    surface, raw = contents
    timing = resolve_timing([("surface sidecar", surface)], raw)
    assert timing.tr is None or 0 < timing.tr < np.inf
    assert np.isfinite(timing.start_time)


NAME = "sub-01_task-a_hemi-L_space-fsaverage5_bold.func.gii"


@st.composite
def nearly_called(draw):
    """A change of one place of the name of a BOLD file, and of both hemispheres alike."""
    at = draw(st.integers(0, len(NAME) - 1))
    new = draw(st.sampled_from(["", "x", "-", "_", ".", " ", "A", "é", "1"]))
    dropped = draw(st.integers(0, 2))
    return NAME[:at] + new + NAME[at + dropped :]


@pytest.fixture(scope="module")
def listened(tmp_path_factory):
    return Tree(tmp_path_factory.mktemp("names") / "study").simple(n_volumes=2)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(name=nearly_called())
def test_no_run_is_lost_by_a_letter_of_its_name(listened, name):
    """It is analyzed, or somebody is told of the file or of the run."""
    folder = listened.fmriprep / "sub-01" / "func"
    moved = folder.parent / "moved"
    shutil.copytree(folder, moved, dirs_exist_ok=True)
    try:
        for hemi in "LR":
            own = NAME.replace("hemi-L", f"hemi-{hemi}")
            (folder / own).rename(folder / name.replace("hemi-L", f"hemi-{hemi}"))
        try:
            plan = plan_study(listened.root, missing="use")
            told = [run.label for run in (*plan.runs, *plan.skipped) if getattr(run, "problem", 1)]
            told += [text for text in plan.warnings if name in text or "sub-01/func" in text]
        except MusencError as error:
            told = [str(error)]
        assert any("sub-01_task-a" in text or "sub-01/func" in text for text in told), name
    finally:
        shutil.rmtree(folder)
        moved.rename(folder)
