"""Settings: their hash changes with what changes results, and with nothing else."""

import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from bids_app.cli.parser import parse_config
from bids_app.cli.run import tell_unused
from bids_app.config import (
    Cleaning,
    Config,
    Joint,
    LagScan,
    Model,
    Running,
    Statistics,
    settings_difference,
    settings_hash,
)
from bids_app.config.options import level_of, options_of
from bids_app.config.places import Places, with_places
from bids_app.errors import UsageError
from bids_app.labels import safe_label
from bids_app.outputs import model_label

BASE = Config(Path("/data"), Path("/out"), "participant")


def _hash(config):
    return settings_hash(config.participant_settings("abc"))


def test_hash_ignores_how_the_work_is_done():
    other = replace(
        BASE,
        bids_dir=Path("/elsewhere"),
        running=Running(work_dir=Path("/w"), n_procs=8, verbosity=1),
        model=Model(weights="/another/path.pth", save_weights=("fc2",), weights_mask=(Path("m"),)),
    )
    assert _hash(other) == _hash(BASE)


@pytest.mark.parametrize(
    "model", [Model(delays=(2.0, 9.0)), Model(crop=10.0), Model(hop=0.96), Model(selection="sse")]
)
def test_hash_follows_what_changes_results(model):
    assert _hash(replace(BASE, model=model)) != _hash(BASE)


def test_hash_follows_the_weights():
    assert settings_hash(BASE.participant_settings("x")) != _hash(BASE)


def test_settings_difference_names_what_differs():
    old = BASE.participant_settings("abc")
    new = replace(BASE, model=Model(crop=10.0)).participant_settings("abc")
    assert settings_difference(old, new) == ["crop: 15.0 -> 10.0"]
    assert settings_difference(old, old) == []


def test_parser_defaults_are_the_configuration_defaults():
    parsed = parse_config(["/data", "/out", "participant"])
    assert parsed == BASE


def test_parser_reads_every_option():
    parsed = parse_config(
        "/data /out group --participant-label sub-01 02 --task-id task-happy -d fmriprep=/x "
        "--stimuli s.tsv --missing use --vggish-weights random:1 --delays -2:4.5 --crop 5 "
        "--confounds 24P --gradient a.gii,b.gii --n-spins 50 --random-seed 3 -w /w --cache-dir /c "
        "--run-id run-1 --exclude-run sub-01_task-x --bids-filter-file f.json --high-pass 100 "
        "--smoothing 0 --dummy-scans 4 --repetition-time 1.2 --slice-time-ref 0.5 "
        "--space fsaverage6 --cortex-mask /l.gii,/r.gii "
        "--bids-database-dir /db --n_cpus 3 --dry-run --reports-only -v --omp-nthreads 2 "
        "--device cpu --use-plugin /p.yml --stop-on-first-crash --boilerplate-only".replace(
            "--delays -2:4.5", "--delays=-2:4.5"
        ).split()
    )
    assert parsed.selection.participants == ("01", "02")
    assert parsed.selection.tasks == ("happy",)
    assert parsed.derivatives == ("fmriprep=/x",)
    assert parsed.stimuli.table == Path("s.tsv").absolute()
    assert parsed.stimuli.missing == "use"
    assert parsed.model == Model(weights="random:1", delays=(-2.0, 4.5), crop=5.0)
    assert parsed.cleaning == Cleaning(
        "24P", 100.0, 0.0, "4", 1.2, 0.5, "fsaverage6", (Path("/l.gii"), Path("/r.gii"))
    )
    assert parsed.selection.runs == ("1",)
    assert parsed.selection.exclude_runs == ("sub-01_task-x",)
    assert parsed.selection.filter_file == Path("f.json").absolute()
    assert parsed.statistics.gradients == ("a.gii,b.gii",)
    assert (parsed.statistics.n_spins, parsed.statistics.random_seed) == (50, 3)
    assert parsed.running == Running(
        work_dir=Path("/w"),
        cache_dir=Path("/c"),
        database_dir=Path("/db"),
        n_procs=3,
        omp_nthreads=2,
        device="cpu",
        plugin_file=Path("/p.yml"),
        stop_on_first_crash=True,
        boilerplate_only=True,
        dry_run=True,
        reports_only=True,
        verbosity=1,
    )


def test_threads_are_shared_by_the_jobs_unless_they_are_given():
    assert Running(n_procs=8).n_threads(3) == 2
    assert Running(n_procs=2).n_threads(3) == 1
    assert Running(n_procs=2, omp_nthreads=4).n_threads(3) == 4


@pytest.mark.parametrize(
    "options",
    [
        ["--delays", "9:3"],
        ["--delays", "x"],
        ["--crop", "-1"],
        ["--nprocs", "0"],
        ["--missing", "no"],
        ["--alphas", "3:1:5"],
        ["--alphas", "1:2"],
        ["--hop", "0"],
        ["--null", "shuffle"],
        ["--device", "tpu"],
    ],
)
def test_parser_refuses_with_code_2(options, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_config(["/data", "/out", "participant", *options])
    assert stop.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_each_feature_space_gets_a_model_label():
    model = Model(("vggish", "change:vggish", "precomputed:/x/openl3.h5", "envelope"))
    labels = [space.label for space in model.spaces]
    assert labels == ["vggish", "changevggish", "openl3", "envelope"]
    assert [space.features for space in Model().spaces] == ["vggish"]


@pytest.mark.parametrize("name", ["notes", "expression", "change:notes", "change:expression"])
def test_places_of_notes_are_no_part_of_a_label(name):
    places = Places(Path("/a b/c"), Path("/chorales"))
    assert model_label(with_places(name, places)) == model_label(name) == safe_label(name)


@pytest.mark.parametrize("labels", [("a", "a"), ("a",), ("a", "b_c")])
def test_model_labels_must_be_one_per_feature_space(labels):
    with pytest.raises(UsageError, match="label of its own"):
        _ = Model(("vggish", "envelope"), labels).spaces


def test_hash_follows_the_features():
    envelope = BASE.participant_settings("", "envelope")
    assert len({settings_hash(envelope), _hash(BASE)}) == 2


def test_options_of_model_and_null_become_settings():
    model = "--features envelope vggish --model-label a b --layers 1 fc2 --hop 0.96"
    rest = "--alphas 0.1:10:3 --selection sse --null phase --n-nulls 99 --device cpu"
    parsed = parse_config(["/data", "/out", "participant", *model.split(), *rest.split()])
    assert parsed.model == Model(
        ("envelope", "vggish"),
        ("a", "b"),
        ("1", "fc2"),
        hop=0.96,
        alphas=(0.1, 1.0, 10.0),
        selection="sse",
    )
    saved = parse_config(
        ["/d", "/o", "participant", "--save-weights", "fc2", "1", "--weights-mask", "/l,/r"]
    )
    assert saved.model.save_weights == ("fc2", "1")
    assert saved.model.weights_mask == (Path("/l"), Path("/r"))
    assert (parsed.statistics.null, parsed.statistics.n_nulls) == ("phase", 99)
    assert parsed.running.device == "cpu"


def test_the_number_of_refits_counts_only_where_there_are_refits():
    few = replace(BASE, statistics=Statistics(n_nulls=5))
    assert _hash(few) == _hash(BASE)
    refits = [replace(BASE, statistics=Statistics(null="phase", n_nulls=n)) for n in (5, 6)]
    assert len({_hash(BASE), *map(_hash, refits)}) == 3


def test_a_file_of_confounds_counts_by_its_content(tmp_path):
    def settings(path):
        config = Config(tmp_path, tmp_path, "participant", cleaning=Cleaning(confounds=str(path)))
        told = {config.participant_settings("", "vggish")["confounds"]}
        told |= {
            config.condition_settings()["confounds"],
            config.rating_map_settings()["confounds"],
        }
        (one,) = told
        return one

    first, moved = tmp_path / "a.yml", tmp_path / "elsewhere.yaml"
    for path in (first, moved):
        path.write_text("columns: [csf]\n")
    assert settings(first) == settings(moved) != "a.yml"
    before = settings(first)
    first.write_text("columns: [white_matter]\n")
    assert settings(first) != before
    # What is no file is a name.
    assert settings("24P") == "24P"
    assert settings(tmp_path / "gone.yml") == str(tmp_path / "gone.yml")


@pytest.mark.parametrize("space", ["precomputed:/data/notes", "python:pkg.notes@l1"])
def test_the_folder_of_notes_belongs_to_the_space_of_notes_alone(space):
    config = parse_config(
        ["/d", "/o", "group", "--features", space, "change:notes", "--notes-dir", "/n"]
    )
    assert config.model.features == (space, "change:notes:dir=/n")
    assert with_places(space, Places(Path("/n"))) == space


@pytest.mark.parametrize(
    ("level", "options", "told"),
    [
        ("group", "--smoothing 6 --participant-label 1 -t a --n-spins 9", "--task-id, --smoothing"),
        ("group", "--null none -d x --run-id 1", "--run-id, --null, --derivatives"),
        ("group", "--bids-database-dir d --hop 0.48", "--hop, --bids-database-dir"),
        ("group", "-d x --rating-difference age --features vggish --emotion off --nprocs 2", ""),
        ("participant", "--train-on own --atlas l.gii,r.gii --smoothing 6", "--train-on, --atlas"),
        ("participant", "--atlas l.gii,r.gii --lag-scan descriptors@loudness -d x", ""),
    ],
)  # fmt: skip
def test_options_of_the_other_level_are_named(caplog, level, options, told):
    caplog.set_level("INFO", "bids_app")
    tell_unused(parse_config(["/data", "/out", level, *options.split()]))
    assert caplog.text.endswith(f": {told}\n") if told else not caplog.text
    of = "of the participant level" if level == "group" else "of the group level"
    assert (of in caplog.text) == bool(told)


def test_options_of_a_file_count_as_given(tmp_path, caplog):
    caplog.set_level("INFO", "bids_app")
    (tmp_path / "a.toml").write_text("smoothing = 6\nn-spins = 9\n")
    tell_unused(parse_config(["/d", "/o", "group", "--config-file", str(tmp_path / "a.toml")]))
    assert caplog.text.endswith(": --smoothing\n")


def test_the_first_page_says_which_level_reads_an_option():
    sections = [
        getattr(BASE, entry.name) for entry in fields(BASE) if is_dataclass(entry.default_factory)
    ]
    levels = {
        f"--{one.dest.replace('_', '-')}": level_of(part, one)
        for part in sections
        for _, one in options_of(part)
    }
    page = Path(__file__).parents[1] / "docs/start.md"
    rows = [
        line.split("|")[2:4]
        for line in page.read_text().splitlines()
        if line.startswith("| ") and "`--" in line
    ]
    assert len(rows) > 8
    for options, told in rows:
        found = dict.fromkeys(levels[flag] for flag in re.findall(r"`(--[a-z-]+)", options))
        assert ", ".join(found) == told.strip(), options


def test_files_of_features_do_not_depend_on_where_a_process_runs(tmp_path, monkeypatch):
    """Steps of a workflow run in folders of their own."""
    monkeypatch.chdir(tmp_path)
    config = Config(
        bids_dir=Path("bids"),
        output_dir=Path("out"),
        level="participant",
        model=Model(features=("precomputed:pre", "change:precomputed:../x.h5", "precomputed:/abs")),
        joint=Joint(asked=("both=precomputed:pre@a+envelope",)),
        lag_scan=LagScan(asked=("precomputed:pre@loud,descriptors@loudness",)),
    )
    assert config.model.features == (
        f"precomputed:{tmp_path}/pre",
        f"change:precomputed:{tmp_path}/../x.h5",
        "precomputed:/abs",
    )
    assert config.joint.asked == (f"both=precomputed:{tmp_path}/pre@a+envelope",)
    assert config.lag_scan.asked == (f"precomputed:{tmp_path}/pre@loud", "descriptors@loudness")
    assert [space.label for space in config.model.spaces] == ["pre", "changex", "abs"]
