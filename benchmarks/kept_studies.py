"""Kept studies of a benchmark, a line of JSON each; calls go on where the last one stopped."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from claims_table import read_results
from listeners import Cell


def study_parser(description: str) -> argparse.ArgumentParser:
    """Options that all calibrations on listeners have; help shows the first line of the text."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--rest", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--part", default="0/1", help="this part of the seeds, of how many")
    parser.set_defaults(begun=time.monotonic())
    return parser


def run_missing(
    options: argparse.Namespace,
    cells: Iterable[tuple[Cell, int]],
    run: Callable[[Cell, int], dict[str, Any]],
) -> None:
    """Run the studies that are not kept yet, a seed of every cell before the next seed.

    The table fills evenly. `cells` says how many seeds of each; `run` takes a cell and a seed.
    """
    part, n_parts = (int(number) for number in options.part.split("/"))
    stop = options.begun + 60 * options.minutes
    wanted = [(cell, n) for cell, n in cells if options.only in cell.name]
    done = read_results(options.results)
    with options.results.open("a") as stream:
        for seed in range(part, max((n for _, n in wanted), default=0), n_parts):
            for cell, n in wanted:
                if seed >= n or seed in done.get(cell.name, {}) or time.monotonic() > stop:
                    continue
                row = {"cell": cell.name, "seed": seed, "result": run(cell, seed)}
                stream.write(json.dumps(row) + "\n")
                stream.flush()
