"""Resources are put in place, checked and recorded; failing networks are told as such."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from real_data import DATA, ROOT, WHEELS

from bids_app.cli import tools
from bids_app.cli.prefetch import prefetch
from bids_app.errors import BadDataError, CannotWriteError, MissingInputError
from bids_app.features.networks.musicnn_wheel import WHEEL
from bids_app.resources import (
    CHECKSUMS_FILE,
    VGGISH_FILE,
    catalog,
    file_state,
    fslr_spheres,
    gradient_files,
    recorded_checksums,
)


@pytest.fixture
def resources(tmp_path, monkeypatch):
    """An empty folder of resources that nothing outside leads away from."""
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path / "resources"))
    for name in ("NEUROMAPS_DATA", "TEMPLATEFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "resources"


def by_name(name):
    (resource,) = [r for r in catalog() if r.name == name]
    return resource


def fill(folder, name):
    """Files of a resource with made-up content, in one flat folder."""
    folder.mkdir(exist_ok=True)
    for path in by_name(name).files:
        (folder / path.name).write_text(f"content of {path.name}")
    return folder


def test_files_are_found_by_name_and_go_where_the_program_looks(resources, tmp_path):
    source = fill(tmp_path / "source", "spheres")
    (complete,) = prefetch(["spheres"], source=source)
    assert complete.name == "spheres"
    assert [path.is_file() for path in fslr_spheres()] == [True, True]
    assert all(path.is_relative_to(resources / "neuromaps") for path in fslr_spheres())


def test_checksums_are_recorded_and_later_damage_is_seen(resources, tmp_path):
    prefetch(["spheres"], source=fill(tmp_path / "source", "spheres"))
    first = by_name("spheres").files[0]
    wanted = hashlib.sha256(first.read_bytes()).hexdigest()
    assert f"{wanted}  {first.name}\n" in (resources / CHECKSUMS_FILE).read_text()
    assert file_state(first, by_name("spheres")) == "verified"
    first.write_text("something else")
    assert file_state(first, by_name("spheres")) == "damaged"


def test_what_is_sound_is_left_alone_and_what_is_damaged_is_replaced(resources, tmp_path):
    source = fill(tmp_path / "source", "spheres")
    prefetch(["spheres"], source=source)
    left, right = by_name("spheres").files
    before = left.stat().st_mtime_ns
    right.write_text("damaged")
    prefetch(["spheres"], source=source)
    assert left.stat().st_mtime_ns == before
    assert right.read_text() == f"content of {right.name}"


def test_a_second_fetch_keeps_what_was_recorded_before(resources, tmp_path):
    prefetch(["spheres"], source=fill(tmp_path / "source", "spheres"))
    prefetch(["gradients"], source=fill(tmp_path / "source", "gradients"))
    assert len(recorded_checksums()) == 2 + 18


def test_wrong_content_is_refused_and_leaves_nothing(resources, tmp_path):
    source = fill(tmp_path / "source", "vggish")
    with pytest.raises(BadDataError, match="wrong content"):
        prefetch(["vggish"], source=source)
    assert not (resources / VGGISH_FILE).exists()


def test_of_two_files_with_one_name_the_sound_one_is_taken(resources, tmp_path, monkeypatch):
    source = tmp_path / "source"
    content = b"the weights"
    digits = hashlib.sha256(content).hexdigest()[:8]
    monkeypatch.setattr("bids_app.resources.VGGISH_FILE", f"vggish-{digits}.pth")
    for folder, text in (("a", b"an older download"), ("b", content)):
        (source / folder).mkdir(parents=True)
        (source / folder / f"vggish-{digits}.pth").write_bytes(text)
    prefetch(["vggish"], source=source)
    assert (resources / f"vggish-{digits}.pth").read_bytes() == content


def test_an_incomplete_folder_is_an_error_unless_allowed(resources, tmp_path):
    source = fill(tmp_path / "source", "spheres")
    with pytest.raises(MissingInputError, match=VGGISH_FILE):
        prefetch([], source=source)
    complete = prefetch([], source=source, allow_missing=True)
    assert [resource.name for resource in complete] == ["spheres"]


def test_a_folder_that_is_not_there(resources, tmp_path):
    with pytest.raises(MissingInputError, match="--from"):
        prefetch([], source=tmp_path / "nowhere")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(resources, tmp_path):
    source = fill(tmp_path / "source", "spheres")
    resources.mkdir()
    resources.chmod(0o500)
    with pytest.raises(CannotWriteError):
        prefetch(["spheres"], source=source)


def test_real_gradient_and_spheres(resources):
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA}")
    prefetch(["gradient", "spheres"], source=DATA)
    chosen = gradient_files("margulies2016")
    assert {file_state(path, by_name("gradient")) for path in chosen.paths} == {"verified"}


def test_files_in_place_are_what_neuromaps_would_have_put_there(resources, no_network):
    if not DATA.is_dir():
        pytest.skip(f"no test data at {DATA}")
    prefetch(["gradient", "spheres"], source=DATA)
    from neuromaps.datasets import fetch_annotation

    found = fetch_annotation(
        source="margulies2016",
        desc="fcgradient01",
        data_dir=str(resources / "neuromaps"),
        verbose=0,
    )
    assert tuple(map(Path, found)) == gradient_files("margulies2016").paths


@pytest.fixture
def no_network(monkeypatch):
    """Name resolution fails, as on a compute node."""

    def refuse(*_args, **_kwargs):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.mark.parametrize(
    "name", ["vggish", "gradient", "gradients", "spheres", "cortex", "networks"]
)
def test_without_a_network_the_real_loading_code_says_so(resources, no_network, name):
    with pytest.raises(MissingInputError, match="cannot be downloaded") as caught:
        prefetch([name])
    assert caught.value.exit_code == 66
    assert "prefetch --from" in str(caught.value)
    assert not any(path.exists() for path in by_name(name).files)


def test_without_an_index_pip_says_what_is_missing(resources, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with pytest.raises(
        MissingInputError, match=r"(?s)A resource cannot be downloaded.*wheel of musicnn.*ERROR"
    ):
        prefetch(["musicnn"])
    assert not any(path.exists() for path in by_name("musicnn").files)


def test_without_pip_the_wheel_is_asked_for(resources, monkeypatch):
    monkeypatch.setattr("bids_app.cli.prefetch.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(MissingInputError, match=r"(?s)there is no pip.*prefetch --from FOLDER"):
        prefetch(["musicnn"])


@pytest.fixture(scope="module")
def wheel():
    found = [place / WHEEL for place in WHEELS if (place / WHEEL).is_file()]
    if not found:
        pytest.skip(f"no {WHEEL} in {', '.join(map(str, WHEELS))}")
    return found[0]


@pytest.mark.trained
def test_musicnn_comes_out_of_its_wheel_and_from_there_to_other_machines(
    resources, wheel, tmp_path, monkeypatch, capsys
):
    (tmp_path / "stick").mkdir()
    shutil.copy(wheel, tmp_path / "stick")
    assert tools.main(["prefetch", "musicnn", "--from", str(tmp_path / "stick")]) == 0
    files = by_name("musicnn").files
    assert {file_state(path, by_name("musicnn")) for path in files} == {"verified"}
    assert sorted(resources.rglob("*")) == sorted(
        [resources / "musicnn", resources / CHECKSUMS_FILE, resources / "neuromaps", *files]
    )
    assert "Permission to use, copy, modify" in files[-1].read_text()
    monkeypatch.setenv("MUSENC_RESOURCES", str(tmp_path / "elsewhere"))
    prefetch(["musicnn"], source=resources)
    copied = by_name("musicnn").files
    assert {file_state(path, by_name("musicnn")) for path in copied} == {"verified"}
    assert tools.main(["doctor", "--no-self-test"]) != 0
    assert re.search(r"ok +musicnn .*checksum verified; licence ISC", capsys.readouterr().out)


@pytest.mark.trained
def test_the_wheel_itself_may_be_named_and_damage_is_mended(resources, wheel):
    prefetch(["musicnn"], source=wheel)
    first = by_name("musicnn").files[0]
    before = first.read_bytes()
    first.write_bytes(before[:-1])
    prefetch(["musicnn"], source=wheel)
    assert first.read_bytes() == before


@pytest.mark.trained
def test_pip_fetches_the_wheel_by_name_and_checksum(resources, wheel, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    (complete,) = prefetch(["musicnn"])
    assert {file_state(path, complete) for path in complete.files} == {"verified"}


def test_another_wheel_is_refused(resources, tmp_path):
    (tmp_path / WHEEL).write_bytes(b"PK")
    with pytest.raises(BadDataError, match=r"(?s)not the published one.*musicnn.*SHA-256 f38a4890"):
        prefetch(["musicnn"], source=tmp_path)
    assert not any(path.exists() for path in by_name("musicnn").files)


@pytest.mark.slow
def test_meshes_lie_where_templateflow_finds_them(resources, tmp_path):
    """In a process of its own: TemplateFlow reads its folder's name once."""
    source = fill(tmp_path / "source", "meshes")
    code = (
        "import sys\nfrom pathlib import Path\nfrom bids_app.cli.prefetch import prefetch\n"
        f"prefetch(['meshes'], source=Path({str(source)!r}))\n"
        "from templateflow import api\n"
        "found = api.ls('fsaverage', hemi='L', density='41k', suffix='sphere', desc=None)\n"
        "assert [path.stat().st_size > 0 for path in found] == [True], found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_command_line(resources, tmp_path, capsys):
    source = fill(tmp_path / "source", "spheres")
    assert tools.main(["prefetch", "spheres", "--from", str(source)]) == 0
    assert tools.main(["prefetch", "--from", str(source)]) == 66
    assert VGGISH_FILE in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        tools.main(["prefetch", "sphere"])
    assert stop.value.code == 2


def test_an_image_fetches_with_the_few_files_that_its_layer_has(tmp_path):
    """As in the Dockerfile, where a change elsewhere in the package downloads nothing again."""
    stage = (ROOT / "Dockerfile").read_text().partition("AS resources")[2].partition("FROM")[0]
    copied = re.findall(r"COPY (bids_app\S*) /opt/source/(\S+)", stage)
    assert copied
    for pattern, target in copied:
        if (ROOT / pattern).is_dir():
            shutil.copytree(ROOT / pattern, tmp_path / target)
            continue
        (tmp_path / target).mkdir(parents=True)
        for path in ROOT.glob(pattern):
            shutil.copy(path, tmp_path / target)
    environment = {
        **os.environ,
        "MUSENC_RESOURCES": str(tmp_path / "resources"),
        "TEMPLATEFLOW_HOME": str(tmp_path / "templateflow"),
        "NEUROMAPS_DATA": str(tmp_path / "neuromaps"),
    }
    code = "import sys; sys.path.insert(0, '.'); from bids_app.cli import prefetch as p; "
    code += "assert p.__file__.startswith(sys.argv[1]); sys.exit(p.main(sys.argv[2:]))"
    source = tmp_path / "from"
    source.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "--allow-missing", "--from", str(source)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
