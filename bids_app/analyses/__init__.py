"""Analyses over files, from numeric functions: one folder per analysis, modules named by step."""
