#!/usr/bin/env bash
# Runs an image the way clusters do, and checks what comes out.
#
#   containers/test.sh ENGINE IMAGE          ENGINE: docker or podman
#
# No network, read-only root, an unknown user, input mounted read-only. Any failed check ends the
# test with exit code 1; the folder with everything it wrote is named then, and removed otherwise.
set -euo pipefail

engine=$1 image=$2
user=1234
work=$(mktemp -d)
mkdir -m 777 "$work/demo" "$work/out" "$work/stopped" "$work/tmp" "$work/doctor"
strict=(--network=none --read-only --user "$user:$user" --cap-drop=all
    --security-opt=no-new-privileges)
# Docker gives a read-only container no /tmp; podman does, the same one.
scratch=(--tmpfs /tmp:rw,mode=1777)

say() { printf '%-9s%s\n' "$1" "$2"; }
fail() {
    say FAILED "$*" >&2
    echo "what was written is in $work" >&2
    exit 1
}
in_image() { "$engine" run --rm "${strict[@]}" "${scratch[@]}" "$@"; }
inspect() { "$engine" image inspect --format "$1" "$image"; }

check_image() {
    local size
    size=$(inspect '{{.Size}}')
    ((size < 2500000000)) || fail "the image has $size bytes"
    say ok "size $((size / 1000000)) MB"
    [[ $(inspect '{{json .Config.Entrypoint}}') == '["/opt/musenc/entrypoint.sh"]' ]] ||
        fail "the entry point is not in exec form"
    weights=$(inspect '{{index .Config.Labels "org.musenc.vggish-weights"}}')
    [[ $(inspect '{{index .Config.Labels "org.opencontainers.image.licenses"}}') == *CC-BY-NC-SA* ]] ||
        fail "the label does not name neuromaps' licence"
    in_image --entrypoint sh "$image" -c '
        set -eu
        test -d /data && test -d /out
        test -s /opt/musenc/share/NOTICE && test -s /opt/musenc/share/LICENSES.tsv
        for tool in gcc cc c++ make; do ! command -v $tool || exit 1; done
        for cache in /root/.cache/pip /var/lib/apt/lists/*_Packages /opt/source; do
            ! test -e "$cache" || { echo "left behind: $cache"; exit 1; }
        done' || fail "content of the image"
    say ok "entry point, labels, licences; no compiler and no package cache"
}

check_doctor() {
    local code=0 wanted=0
    [[ $weights == pretrained ]] || wanted=66
    in_image -v "$work/doctor:/out" "$image" musenc doctor --output-dir /out >"$work/doctor.log" 2>&1 ||
        code=$?
    cat "$work/doctor.log"
    ((code == wanted)) || fail "musenc doctor: exit code $code, wanted $wanted"
    if [[ $weights == none ]]; then
        grep -q 'pretrained VGGish weights: missing' "$work/doctor.log" || fail "doctor hides it"
        [[ $(grep -c ^problem "$work/doctor.log") == 1 ]] || fail "doctor found other problems"
    fi
    say ok "musenc doctor (VGGish weights in this image: $weights)"
}

check_demo() {
    in_image -v "$work/demo:/out" "$image" musenc demo --output-dir /out/demo --n-participants 2 \
        --duration 180 ||
        fail "musenc demo"
    study=$work/demo/demo/study cache=$work/demo/demo/cache results=$work/demo/demo/results
    [[ -s $results/group.html ]] || fail "the demo left no group report"
    # The settings of its participant level.
    read -ra settings < <(in_image "$image" python -c \
        'from bids_app.cli.demo import HOP, LAYERS; print("--hop", HOP, "--layers", *LAYERS)')
    say ok "musenc demo"
}

# One participant as BABS calls it, on a read-only dataset; the rest of the arguments go to the engine.
one_participant() {
    local out=$1
    shift
    "$engine" run --rm "${strict[@]}" "$@" -v "$study/bids:/data:ro" -v "$out:/out" -v "$cache:/cache:ro" \
        "$image" /data /out participant --participant-label sub-01 --vggish-weights random:0 \
        "${settings[@]}" --cache-dir /cache -w /tmp/work
}

same_maps() {  # $1, $2: folders of derivatives with sub-01
    local name
    while read -r name; do
        cmp -s "$1/$name" "$2/$name" || fail "$name differs between $1 and $2"
    done < <(cd "$1" && find sub-01 -name '*.gii' -o -path 'sub-01/*.tsv' | sort)
    [[ -n $(find "$2/sub-01" -name '*_statmap.func.gii' -print -quit) ]] || fail "no maps in $2"
}

check_participant() {
    # As Singularity does: a /tmp from outside, a home nobody may enter, nothing else writable.
    local options=(-v "$work/tmp:/tmp" --env HOME=/root)
    [[ $engine != *podman ]] || options+=(--read-only-tmpfs=false)
    one_participant "$work/out" "${options[@]}" || fail "participant level"
    same_maps "$results" "$work/out"
    [[ -z $(find "$work/out" "$work/demo" -mindepth 1 ! -uid "$user" -print -quit) ]] ||
        [[ $(id -u) != 0 ]] || fail "files that do not belong to the caller"
    say ok "participant level as in Singularity, read-only dataset: the demo's maps, byte for byte"
}

# On really trained layers, where there is musicnn's wheel (MUSENC_TEST_WHEELS: its folder).
check_trained() {
    local wheels=${MUSENC_TEST_WHEELS:-} out=$work/trained
    if [[ -z $(find "${wheels:-/dev/null}" -name 'musicnn-0.1.0-*.whl' -print -quit) ]]; then
        say skipped "trained layers: no musicnn wheel in MUSENC_TEST_WHEELS"
        return
    fi
    mkdir -m 777 "$out"
    in_image -v "$wheels:/wheels:ro" -v "$out:/out" --env MUSENC_RESOURCES=/out/resources "$image" \
        musenc prefetch musicnn --from /wheels || fail "musenc prefetch musicnn"
    in_image -v "$study/bids:/data:ro" -v "$out:/out" --env MUSENC_RESOURCES=/out/resources "$image" \
        /data /out/results participant --participant-label sub-01 --features musicnn:MTT_vgg ||
        fail "participant level on trained layers"
    grep -q '"Untrained": false' "$out"/results/sub-01/func/*_model-musicnnMTTvgg_stat-r_*.json ||
        fail "the maps of trained layers do not say that they are"
    say ok "participant level on the trained layers of musicnn:MTT_vgg"
}

check_signal() {
    local name=musenc-test-$$ started seconds code
    "$engine" run --detach --name "$name" "${strict[@]}" "${scratch[@]}" \
        -v "$study/bids:/data:ro" -v "$work/stopped:/out" \
        "$image" /data /out participant --vggish-weights random:1 >/dev/null
    trap '"$engine" rm --force "'"$name"'" >/dev/null 2>&1' EXIT
    for _ in $(seq 120); do
        [[ -z $(find "$work/stopped" -mindepth 1 -print -quit) ]] || break
        sleep 0.5
    done
    sleep 3
    started=$SECONDS
    "$engine" kill --signal TERM "$name" >/dev/null || fail "it ended before it was stopped"
    code=$(timeout 10 "$engine" wait "$name") || fail "SIGTERM did not stop it within 10 s"
    seconds=$((SECONDS - started))
    [[ $code == 130 || $code == 143 ]] || fail "exit code $code after SIGTERM"
    local left
    left=$(find "$work/stopped" -name '.partial-*' -o -name '*.tmp')
    [[ -z $left ]] || fail "half-written files after SIGTERM: $left"
    say ok "SIGTERM: stopped after $seconds s with exit code $code, nothing half-written"
}

check_errors() {
    local code=0
    in_image "$image" /data /out participant >"$work/error.log" 2>&1 || code=$?
    ((code == 16 || code == 66 || code == 73)) || fail "an empty dataset: exit code $code"
    ! grep -q Traceback "$work/error.log" || fail "an empty dataset causes a traceback"
    [[ $(in_image "$image" --version) == musenc-bidsapp* ]] || fail "--version"
    say ok "--version; an empty dataset is told without a traceback (exit code $code)"
}

# In braces: so that the shell has read all of it before it begins.
{
    check_image
    check_errors
    check_doctor
    check_demo
    check_participant
    check_trained
    check_signal
    rm -rf "$work"
    say ok "all checks of $image passed"
    exit 0
}
