#!/bin/sh
# Runs the BIDS-App, or the program named first: `musenc doctor`, `python`, `sh`.
# Any user may run it on a read-only root: caches go to a folder of their own below TMPDIR.
set -eu
umask 022

base=${TMPDIR:-/tmp}
# A node has one /tmp for everybody. numba runs what it finds in its cache: a folder that others
# made, may write to, or lead elsewhere by a link, is not entered.
is_private() {
    [ ! -L "$1" ] && [ -d "$1" ] && [ -O "$1" ] && [ -w "$1" ] &&
        [ "$(stat -c %a "$1" 2>/dev/null || stat -f %Lp "$1")" = 700 ]
}
scratch=$base/musenc-$(id -u)
mkdir -m 700 "$scratch" 2>/dev/null || true
if ! is_private "$scratch"; then
    scratch=$(mktemp -d "$base/musenc-$(id -u)-XXXXXXXXXX" 2>/dev/null) || scratch=
    if [ -z "$scratch" ] || ! chmod 700 "$scratch" || ! is_private "$scratch"; then
        echo "musenc: no writable folder for caches: give the container a writable /tmp or TMPDIR" >&2
        exit 73
    fi
    echo "musenc: $base/musenc-$(id -u) is not yours alone; caches go to $scratch" >&2
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
