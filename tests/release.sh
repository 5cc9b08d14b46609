#!/usr/bin/env bash
# What a release holds: sdist and wheel, installed into an empty environment; the demo runs from the
# wheel, away from the sources; numbers, meshes and files are tested with the lowest versions that
# pyproject.toml allows. `make release-check` calls it.
set -euo pipefail
python=${1:?the python that has build and uv}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m build --outdir "$work/dist" "$root"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet "$work"/dist/*.whl
"$work/venv/bin/python" -m pip check
# Torch as it is here: its old releases bring gigabytes.
"$python" -c 'import torch; print("torch==" + torch.__version__.split("+")[0])' > "$work/torch.txt"
"$python" -m uv pip compile --quiet --resolution lowest-direct --override "$work/torch.txt" \
    --extra test "$root/pyproject.toml" --output-file "$work/lowest.txt"
"$python" -m uv venv --quiet --python "$python" "$work/lowest"
"$python" -m uv pip install --quiet --python "$work/lowest/bin/python" \
    --requirement "$work/lowest.txt" "$work"/dist/*.whl
mkdir "$work/checkout"
cp -r "$root"/{tests,docs,benchmarks,pyproject.toml} "$work/checkout"
(cd "$work/checkout" && "$work/lowest/bin/python" -m pytest -q -p no:cacheprovider \
    tests/encoding tests/preference tests/emotion tests/surface tests/features tests/test_loading.py)
cd "$work"
HOME=$work "$work/venv/bin/musenc" demo --n-participants 4 --duration 180 --output-dir demo
test -s demo/results/group.html
