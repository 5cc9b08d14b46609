"""What composes the numeric packages over files: one folder per analysis, modules named by step."""
