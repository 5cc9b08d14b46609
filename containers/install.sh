#!/bin/sh
# What is installed in the image, for Dockerfile and Singularity.def alike.
#
#   install.sh dependencies   the locked packages, into /opt/musenc/venv
#   install.sh application    this project, from the sources beside this script
#   install.sh resources      weights, gradient and meshes, into /opt/musenc/resources
#   install.sh system         entry point, licences, mount points
#
# TORCH_INDEX   package index for torch and what only torch needs; empty: the default index
# TORCH_SHA256  of torch's wheel there; empty: that of the lock, PyTorch's for the CPU; or "unchecked"
# RESOURCES     folder to take the resources from; empty: download them
# DESTDIR       folder that stands for / in the steps application and system
# WEIGHTS       "pretrained" or "none": what the image's label says, held against what was found
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
prefix=/opt/musenc
python=$prefix/venv/bin/python
export PYTHONNOUSERSITE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# Sources are built with tools of the lock beside it, and not with what the index has today.
with_tools() {
    tools=$(mktemp -d)
    python3 -m pip install --quiet --require-hashes --no-deps --target "$tools" \
        --requirement "$source/containers/build.lock"
    (
        export PYTHONPATH="$tools"
        "$@"
    )
    rm -rf "$tools"
}

# The base image's pip fills the environment, which therefore needs no pip of its own.
pip() { python3 -m pip --python "$python" "$@"; }

dependencies() {
    python3 -m venv --without-pip "$prefix/venv"
    lock=$source/containers/requirements.lock rest=$(mktemp)
    grep -v '^torch==' "$lock" >"$rest"
    with_tools pip install --require-hashes --no-deps --no-build-isolation --requirement "$rest"
    # One index per package: of two, the one that offers a higher version would win.
    torch=$(sed -n 's/^\(torch==[^ ]*\).*/\1/p' "$lock")
    sum=${TORCH_SHA256:-$(sed -n 's/^torch==.*sha256://p' "$lock")}
    if [ "$sum" = unchecked ]; then
        echo "torch from ${TORCH_INDEX:-the default index} is not held against a checksum" >&2
    else
        echo "$torch --hash=sha256:$sum" >"$rest"
        pip install --require-hashes --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
            --requirement "$rest"
    fi
    # What a build of torch for CUDA needs beside; everything else is there.
    pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$torch"
    rm -f "$rest"
    pip check
}

application() {
    with_tools pip install --no-deps --no-build-isolation ${DESTDIR:+--root "$DESTDIR"} "$source"
    rm -rf "$source/build" "$source"/*.egg-info
}

resources() {
    mkdir -p "$prefix/resources"
    MUSENC_RESOURCES=$prefix/resources
    TEMPLATEFLOW_HOME=$prefix/resources/templateflow
    NEUROMAPS_DATA=$prefix/resources/neuromaps
    PYTHONPATH=$source
    export MUSENC_RESOURCES TEMPLATEFLOW_HOME NEUROMAPS_DATA PYTHONPATH
    # From sources: so that a change elsewhere in the project does not download everything again.
    if [ -n "${RESOURCES:-}" ]; then
        "$python" -m bids_app.cli.prefetch --allow-missing --from "$RESOURCES"
    else
        "$python" -m bids_app.cli.prefetch
    fi
    # On a read-only root TemplateFlow cannot lay out its folder, and fails to import.
    "$python" -W ignore -c 'import templateflow.conf'
    found=none
    [ -e "$prefix/resources/vggish-10086976.pth" ] && found=pretrained
    if [ "$found" != "${WEIGHTS:-pretrained}" ]; then
        echo "VGGish weights: $found; build with WEIGHTS=$found, which is what the label will say" >&2
        exit 1
    fi
    chmod -R a+rX "$prefix/resources"
}

system() {
    root=${DESTDIR:-}
    mkdir -p "$root/data" "$root/out" "$root$prefix/share" "$root$prefix/home"
    install -m 755 "$source/containers/entrypoint.sh" "$root$prefix/entrypoint.sh"
    install -m 644 "$source/NOTICE" "$source/LICENSE" "$source/containers/requirements.lock" \
        "$root$prefix/share/"
    # Under DESTDIR the application is not among the packages that Python finds by itself.
    packages=$root$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    PYTHONPATH=$packages "$python" "$source/containers/licenses.py" >"$root$prefix/share/LICENSES.tsv"
}

for step in "$@"; do
    case $step in
        dependencies | application | resources | system) "$step" ;;
        *) sed -n '2,12p' "$0" >&2; exit 2 ;;
    esac
done
