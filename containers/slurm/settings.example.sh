# Settings of a study for containers/slurm/submit.sh. Copy, fill in, and give the copy to it.

# The image, or nothing to run the program that is installed on the nodes.
IMAGE=/shared/images/musenc-bidsapp.sif

# The dataset (with fMRIPrep in derivatives/fmriprep) and the results, on storage all nodes see.
BIDS_DIR=/shared/study
OUTPUT_DIR=/shared/results

# Stimulus features: computed once, by the first job, and read by all others. About 1 MB for every
# minute of music squared; on storage all nodes see.
CACHE_DIR=/shared/results/.musenc

# Options that belong to every call, for example (--task-id music --missing use).
OPTIONS=()

# Only of the group level.
GROUP_OPTIONS=()

# What sbatch shall ask for, besides what the scripts say themselves, for example
# (--partition long --account neuro).
SBATCH_OPTIONS=()
CPUS=4
MEMORY=8G
