# Sourced by the job scripts: `app PROGRAM ARGUMENTS` runs a program of the image, or the installed
# one where no image is set.
source "$MUSENC_SETTINGS"

# Intermediate files stay on the node.
work=$(mktemp -d "${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/musenc-job-XXXXXX")
trap 'rm -rf "$work"' EXIT

app() {
    if [ -z "$IMAGE" ]; then
        "$@"
        return
    fi
    local runtime name
    runtime=$(command -v apptainer || command -v singularity)
    # --cleanenv would hide the job's limits from the program.
    for name in ${!SLURM_MEM_*} ${!SLURM_CPUS_*}; do
        export "APPTAINERENV_$name=${!name}" "SINGULARITYENV_$name=${!name}"
    done
    mkdir -p "$OUTPUT_DIR" "$CACHE_DIR" "$work/tmp"
    # Under their own names, so that paths in options and tables mean the same inside.
    "$runtime" run --cleanenv --containall --writable-tmpfs \
        --bind "$BIDS_DIR:$BIDS_DIR:ro" --bind "$OUTPUT_DIR" --bind "$CACHE_DIR" \
        --bind "$work" --bind "$work/tmp:/tmp" "$IMAGE" "$@"
}
