#!/usr/bin/env bash
# What a release holds: sdist and wheel, installed into an empty environment; the demo runs from the
# wheel, away from the sources. `make release-check` calls it.
set -euo pipefail
python=${1:?the python that has build}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m build --outdir "$work/dist" "$root"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet "$work"/dist/*.whl
"$work/venv/bin/python" -m pip check
cd "$work"
HOME=$work "$work/venv/bin/musenc" demo --n-participants 4 --duration 180 --output-dir demo
test -s demo/results/group.html
