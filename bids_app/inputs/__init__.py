"""From files on disk to frozen records of runs, stimuli and confounds."""
