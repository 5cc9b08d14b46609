#!/usr/bin/env bash
# Submits a study to SLURM: features first, then one job per participant, then the group level.
#
#   containers/slurm/submit.sh SETTINGS.sh [LABEL ...]
#
# SETTINGS.sh is a filled-in copy of settings.example.sh. Without labels every sub- folder of the
# dataset is worked on. The job numbers are printed; nothing waits for them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
settings=$(realpath "$1")
shift
# shellcheck source=settings.example.sh
source "$settings"

logs=$OUTPUT_DIR/logs/slurm
mkdir -p "$logs"
participants=$logs/participants.txt
if (($#)); then
    printf '%s\n' "$@"
else
    find -L "$BIDS_DIR" -maxdepth 1 -type d -name 'sub-*' -printf '%f\n' | sort
fi | sed 's/^sub-//' >"$participants"
count=$(wc -l <"$participants")
((count)) || { echo "no sub- folders in $BIDS_DIR" >&2; exit 16; }

submit() {
    sbatch --parsable --output "$logs/%x_%j.log" --cpus-per-task "$CPUS" --mem "$MEMORY" \
        --export "ALL,MUSENC_SETTINGS=$settings,MUSENC_SLURM=$here" \
        "${SBATCH_OPTIONS[@]}" "$@"
}
features=$(submit "$here/features.sbatch")
array=$(submit --dependency "afterok:$features" --array "1-$count" "$here/participant.sbatch" \
    "$participants")
group=$(submit --dependency "afterok:$array" "$here/group.sbatch")
echo "features $features"
echo "participants $array ($count)"
echo "group $group"
