#!/bin/sh
# Runs the BIDS-App, or the program named first: `musenc doctor`, `python`, `sh`.
# Any user may run it on a read-only root: caches go to a folder of their own below TMPDIR.
set -eu

# A cluster node has one /tmp for everybody, so the folder's name carries the user.
scratch=${TMPDIR:-/tmp}/musenc-$(id -u)
if ! { mkdir -p "$scratch" && [ -w "$scratch" ]; } 2>/dev/null; then
    echo "musenc: no writable folder for caches: give the container a writable /tmp or TMPDIR" >&2
    exit 73
fi
export XDG_CACHE_HOME="$scratch/cache" MPLCONFIGDIR="$scratch/matplotlib"
export NUMBA_CACHE_DIR="$scratch/numba"
# Without a home that can be entered pybids does not even import.
if ! [ -w "${HOME:-/nowhere}" ] || [ "$HOME" = / ]; then
    export HOME="$scratch"
fi

case ${1:-} in
    musenc | musenc-bidsapp | python | sh | bash) exec "$@" ;;
    *) exec musenc-bidsapp "$@" ;;
esac
