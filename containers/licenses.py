"""Print name, version and licence of every package installed beside this Python, as TSV."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, distributions


def licence(distribution: Distribution) -> str:
    """The licence as the package states it: expression, classifier or free text's first line."""
    metadata = distribution.metadata
    if metadata.get("License-Expression"):
        return str(metadata["License-Expression"])
    prefix = "License :: "
    found = [c for c in metadata.get_all("Classifier") or [] if c.startswith(prefix)]
    if found:
        return "; ".join(
            sorted(c.removeprefix(prefix).removeprefix("OSI Approved :: ") for c in found)
        )
    lines = str(metadata.get("License") or "").strip().splitlines()
    return lines[0].strip() if lines else "not stated"


def main() -> None:
    """Write the table to standard output."""
    rows = {(d.metadata["Name"], d.version, licence(d)) for d in distributions()}
    sys.stdout.write("name\tversion\tlicense\n")
    for row in sorted(rows, key=lambda row: row[0].lower()):
        sys.stdout.write("\t".join(row) + "\n")


if __name__ == "__main__":
    main()
