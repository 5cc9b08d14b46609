#!/usr/bin/env bash
# Builds the real Dockerfile from what git knows and tests the image; fails if either fails.
#
#   containers/ci.sh [CONTAINER-ENGINE]
#
# CONTAINER-ENGINE is a script with `setup`, `build TAG CONTEXT` and `env` that prepares podman
# (default: ../shared/tools/container-engine beside the repository); without it plain docker or
# podman is used, and without those nothing is tested, which is said.
# MUSENC_TEST_DATA   folder with the gradient and its spheres; pretrained weights too, if it has any
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
helper=${1:-$root/../shared/tools/container-engine}
data=${MUSENC_TEST_DATA:-$root/../shared/data}
tag=musenc-bidsapp-test
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

if [ -x "$helper" ]; then
    engine=podman image=localhost/$tag
    "$helper" setup
    eval "$("$helper" env)"
    build() { "$helper" build "$tag" "$context" --build-arg TORCH_INDEX= "$@"; }
elif engine=$(command -v docker || command -v podman) && "$engine" info >/dev/null 2>&1; then
    image=$tag
    build() { "$engine" build --tag "$tag" "$@" "$context"; }
else
    echo "container not tested: there is no container engine"
    exit 0
fi

cd "$root"
git ls-files -z --cached --others --exclude-standard |
    xargs -0 -I{} sh -c '[ ! -e "$1" ] || printf "%s\0" "$1"' sh {} |
    tar -c --null --files-from=- | tar -x -C "$context"

# Downloads are no part of a test: the image gets what the test data have.
mkdir "$context/resources"
weights=none
if [ -d "$data" ]; then
    find "$data" -name 'source-margulies2016_*.gii' -o -name 'tpl-fsLR_space-fsaverage_*.gii' |
        xargs -r cp -t "$context/resources"
    pretrained=$(find "$data" -name 'vggish-10086976.pth' | head -n 1)
    [ -z "$pretrained" ] || { cp "$pretrained" "$context/resources/"; weights=pretrained; }
fi
touch "$context/resources/.keep"

started=$SECONDS
build --build-arg RESOURCES=resources --build-arg WEIGHTS=$weights \
    --build-arg REVISION="$(git rev-parse HEAD)"
"$engine" image inspect --format 'image {{.Id}}, {{.Size}} bytes' "$image"
echo "built in $((SECONDS - started)) s"

started=$SECONDS
"$root/containers/test.sh" "$engine" "$image"
echo "tested in $((SECONDS - started)) s"
