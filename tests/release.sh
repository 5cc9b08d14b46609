#!/usr/bin/env bash
# What a release holds: sdist and wheel, installed into empty environments away from the sources.
# With the given Python: the demo. With the lowest versions that pyproject.toml allows, and with
# Python 3.12 and 3.13 (uv finds or downloads them): tests of numbers, meshes and files, and the
# demo on the later Pythons. Torch may bring gigabytes of CUDA; UV_TORCH_BACKEND=cpu avoids them.
# `make release-check` calls it.
set -euo pipefail
python=${1:?the python that has build and uv}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
uv() { "$python" -m uv "$@"; }
demo() {
    (cd "$work" && HOME=$work "$1/bin/musenc" demo --n-participants 4 --duration 180 --output-dir "$1/demo")
    test -s "$1/demo/results/group.html"
}
tests() {
    (cd "$work/checkout" && "$1/bin/python" -m pytest -q -p no:cacheprovider tests/encoding \
        tests/preference tests/emotion tests/surface tests/features tests/test_loading.py)
}

"$python" -m build --outdir "$work/dist" "$root"
wheel=$(echo "$work"/dist/*.whl)
mkdir "$work/checkout"
cp -r "$root"/{tests,docs,benchmarks,pyproject.toml} "$work/checkout"

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet "$wheel"
"$work/venv/bin/python" -m pip check
demo "$work/venv"

# Torch as it is here: its old releases bring gigabytes.
"$python" -c 'import torch; print("torch==" + torch.__version__.split("+")[0])' > "$work/torch.txt"
uv pip compile --quiet --resolution lowest-direct --override "$work/torch.txt" \
    --extra test "$root/pyproject.toml" --output-file "$work/lowest.txt"
uv venv --quiet --python "$python" "$work/lowest"
uv pip install --quiet --python "$work/lowest/bin/python" --requirement "$work/lowest.txt" "$wheel"
tests "$work/lowest"

for version in 3.12 3.13; do
    uv venv --quiet --python "$version" "$work/$version"
    uv pip install --quiet --python "$work/$version/bin/python" "$wheel[test]"
    uv pip check --python "$work/$version/bin/python"
    tests "$work/$version"
    demo "$work/$version"
    rm -rf "${work:?}/$version"
done
