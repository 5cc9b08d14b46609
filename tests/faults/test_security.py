"""Nothing of a dataset is executed, and nothing goes out to a network."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_study import Study, write_study

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("bids_app", "workflows", "containers")
    for path in (ROOT / folder).rglob("*.py")
)
# What steps of one call hand to each other through its own work directory, as nipype does itself.
MAY_PICKLE = ROOT / "bids_app" / "handed_on.py"
SHORT = ("--crop", "4", "--delays", "2:6")  # the pieces are
GUARD = """
import sys
def guard(event, arguments):
    # Pools of processes talk over sockets of the file system, whose address is no pair.
    out = event == "socket.connect" and isinstance(arguments[1], tuple)
    if out or event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        with open({record!r}, "a") as stream:
            stream.write(f"{{event}} {{arguments!r}}\\n")
        raise OSError("no network here")
sys.addaudithook(guard)
"""


def _calls(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}, node


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # It takes addresses apart and opens none.
            whole = node.module == "urllib.parse"
            names.add(node.module if whole else node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_executes_what_it_reads(path):
    forbidden = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
    forbidden |= {
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
        "joblib.load",
        "pd.read_pickle",
    }
    for name, keywords, node in _calls(path):
        where = f"{path}:{node.lineno}"
        assert name not in forbidden, where
        assert keywords.get("shell") in (None, "False"), where
        assert keywords.get("allow_pickle") in (None, "False"), where
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", where
        if name.endswith("Environment"):
            assert "default=True" in keywords["autoescape"], where
    unsafe = _imported(path) & {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
    assert not unsafe or path == MAY_PICKLE, f"{path} imports {unsafe}"


# Reading arrays, surfaces, volumes, HDF5: `bids_app/loading.py` alone.
LOADER = ROOT / "bids_app" / "loading.py"
READERS = (
    *(f"numpy.{name}" for name in ("load", "loadtxt", "genfromtxt", "fromfile", "fromregex")),
    *("numpy.memmap", "numpy.lib.npyio", "numpy.DataSource", "numpy.core"),
    *("h5py.File", "h5py.h5f", "h5py._hl", "tables.open_file", "pandas.read_hdf"),
    *("nibabel.load", "nibabel.loadsave", "nibabel.freesurfer", "nibabel.streamlines"),
    *("nibabel.gifti.read", "nibabel.gifti.giftiio", "nibabel.gifti.parse_gifti_fast"),
    *("nilearn.image.load_img", "nilearn._utils", "nilearn.surface.load_surf_data"),
    *("nilearn.surface.load_surf_mesh", "scipy.io", "joblib.load"),
    *("pandas.read_pickle", "pandas.read_parquet", "pandas.read_feather", "pandas.read_excel"),
)
# Tables, of people and of the program's own: `read_frame` and `read_rows` there.
TABLES = ROOT / "bids_app" / "inputs" / "tables.py"
TABLE_READERS = ("pandas.read_csv", "pandas.read_table", "pandas.read_fwf", "pandas.read_json")
LOADING_METHODS = (
    *("from_filename", "from_file_map", "from_stream", "from_bytes", "from_url"),
    *("read_array", "open_memmap"),
)


def _full_names(tree: ast.AST) -> dict[str, str]:
    """What a module calls by a name of its own, by that name."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                known[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return known


def loads(text: str, readers: tuple[str, ...] = READERS) -> list[str]:
    """Uses of the libraries' own readers in a module."""
    tree = ast.parse(text)
    known, found = _full_names(tree), []
    writes = {
        id(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and any(
            isinstance(mode, ast.Constant) and mode.value in ("w", "w-", "x", "w+")
            for mode in [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
        )
    }
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Attribute, ast.Name)) or id(node) in writes:
            continue
        first, dot, rest = ast.unparse(node).partition(".")
        name = known.get(first, "") + dot + rest
        reads = any(name == reader or name.startswith(f"{reader}.") for reader in readers)
        method = isinstance(node, ast.Attribute) and node.attr in LOADING_METHODS
        if reads or (method and ast.unparse(node.value) != "int"):
            found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_loader_opens_arrays(path):
    assert path == LOADER or loads(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_reader_of_tables_opens_tables(path):
    assert path in (TABLES, LOADER) or loads(path.read_text(), TABLE_READERS) == []


def test_the_reader_of_tables_is_seen_to_open_tables():
    assert loads(TABLES.read_text(), TABLE_READERS)
    assert loads("from pandas import read_table as r\nr(x)", TABLE_READERS)


def test_the_loader_is_seen_to_open_arrays():
    assert len(loads(LOADER.read_text())) >= 5


@pytest.mark.parametrize(
    "text",
    [
        "import nibabel as nib\nnib.load(x)",
        "def f():\n    import nibabel\n    return nibabel.loadsave.load(x)",
        "from nibabel import load as other\nother(x)",
        "import nibabel.freesurfer as fs\nfs.read_annot(x)",
        "import nibabel as nib\nnib.gifti.GiftiImage.from_filename(x)",
        "import nibabel as nib\nnib.Nifti1Image.from_bytes(x)",
        "from nibabel import freesurfer\nfreesurfer.io.read_geometry(x)",
        "import h5py\nwith h5py.File(x) as f: pass",
        "import h5py\nh5py.File(x, 'r+')",
        "from h5py import File\nFile(x, mode='a')",
        "import numpy as np\nread = np.load\nread(x)",
        "import numpy as np\nnp.memmap(x, mode='r')",
        "from numpy import loadtxt, genfromtxt as g\ng(x)",
        "import numpy\nnumpy.lib.format.open_memmap(x)",
        "from numpy.lib import format\nformat.read_array(x)",
        "import scipy.io\nscipy.io.loadmat(x)",
        "from nilearn import image\nimage.load_img(x)",
        "from nilearn.surface import load_surf_data\nload_surf_data(x)",
    ],
)
def test_a_reader_is_seen_however_it_is_called(text):
    assert loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "import h5py\nwith h5py.File(x, 'w') as f: pass",
        "import numpy as np\nnp.save(x, y)\nint.from_bytes(x, 'big')",
        "from bids_app.loading import load_gifti\nload_gifti(x)",
    ],
)
def test_writing_is_no_reading(text):
    assert loads(text) == []


def test_only_prefetch_and_the_installer_know_how_to_download():
    networked = {"requests", "urllib", "http", "socket", "ftplib", "aiohttp", "httpx"}
    users = {str(path.relative_to(ROOT)) for path in FILES if _imported(path) & networked}
    assert users <= {"bids_app/cli/prefetch.py", "containers/lock.py", "containers/licenses.py"}


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Study:
    return write_study(tmp_path_factory.mktemp("guarded") / "study")


def guarded_call(study: Study, folder: Path, *options: str) -> tuple[int, str, str]:
    """Exit code, what was printed, and what the guard wrote down, of a call without a network."""
    record = folder / "network.txt"
    record.touch()
    (folder / "sitecustomize.py").write_text(GUARD.format(record=str(record)))
    command = [sys.executable, "-m", "bids_app", str(study.bids), str(folder / "out")]
    done = subprocess.run(
        [*command, "participant", "--vggish-weights", "random:0", *options],
        env={**os.environ, "PYTHONPATH": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr, record.read_text()


def test_the_guard_sees_what_goes_out(tmp_path):
    record = tmp_path / "r"
    record.touch()
    code = GUARD.format(record=str(record)) + (
        "import socket\ntry: socket.create_connection(('127.0.0.1', 9))\nexcept OSError: pass"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "127.0.0.1" in record.read_text()


def test_a_plan_needs_no_network(study, tmp_path):
    code, text, went_out = guarded_call(study, tmp_path, "--dry-run")
    assert (code, went_out) == (0, ""), text


@pytest.mark.slow
def test_a_run_needs_no_network(study, tmp_path):
    code, text, went_out = guarded_call(
        study, tmp_path, "--nprocs", "2", "--crop", "4", "--delays", "2:6"
    )
    assert (code, went_out) == (0, ""), text
