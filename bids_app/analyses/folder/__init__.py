"""The output folder: records, what is complete, reading and writing."""
