"""Select confounds from the tables of every fMRIPrep generation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_app.errors import BadDataError, InvalidInputError, MissingInputError
from bids_app.inputs.files import content_problem, is_number, read_object
from bids_app.inputs.strategies import DEFAULT_STRATEGY, ConfoundStrategy, resolve_strategy
from bids_app.inputs.tables import read_frame
from bids_app.plain import some_of

if TYPE_CHECKING:
    import pandas as pd

# fMRIPrep 1.0 and 1.1; later versions use snake case.
_OLD_NAMES = {
    "X": "trans_x",
    "Y": "trans_y",
    "Z": "trans_z",
    "RotX": "rot_x",
    "RotY": "rot_y",
    "RotZ": "rot_z",
    "CSF": "csf",
    "WhiteMatter": "white_matter",
    "GlobalSignal": "global_signal",
    "FramewiseDisplacement": "framewise_displacement",
    "stdDVARS": "std_dvars",
    "non-stdDVARS": "dvars",
}
_OLD_NUMBERED = {
    "aCompCor": "a_comp_cor_",
    "tCompCor": "t_comp_cor_",
    "Cosine": "cosine",
    "NonSteadyStateOutlier": "non_steady_state_outlier",
    "AROMAAggrComp": "aroma_motion_",
}
_PREFIX_OF_MASK = {"combined": "a_comp_cor_", "WM": "w_comp_cor_", "CSF": "c_comp_cor_"}


@dataclass(frozen=True)
class ConfoundSelection:
    """The regressors of one run.

    Attributes
    ----------
    names : tuple of str
        Columns, with fMRIPrep's current names.
    values : ndarray of shape (n_volumes, n_confounds)
        float64, finite; not centered, not scaled.
    description : str
        For the methods text.
    warnings : tuple of str
    """

    names: tuple[str, ...]
    values: np.ndarray
    description: str
    warnings: tuple[str, ...]


def select_confounds(
    table: str | Path | pd.DataFrame | None,
    sidecar: Path | None,
    strategy: str | Path | ConfoundStrategy = DEFAULT_STRATEGY,
    n_volumes: int | None = None,
    *,
    own_high_pass: bool = False,
) -> ConfoundSelection:
    """Pick the columns of a strategy out of an fMRIPrep confounds table.

    Derivatives and squares that old tables lack are computed. Cells that are ``n/a`` in the first
    rows (derivatives have no first value) become 0; elsewhere they are an error.

    Parameters
    ----------
    table : path, DataFrame or None
        ``desc-confounds_timeseries.tsv`` (or the older names); None only for the strategy ``none``.
    sidecar : Path or None
        Its JSON file, which says which mask an aCompCor component comes from.
    strategy : str, Path or ConfoundStrategy
        See `bids_app.inputs.strategies.resolve_strategy`.
    n_volumes : int or None
        Volumes of the BOLD file, compared with the number of rows.
    own_high_pass : bool
        Leave fMRIPrep's cosines out, because slow drift is removed otherwise.

    Returns
    -------
    ConfoundSelection

    Raises
    ------
    MissingInputError
        Where the table is not there (66).
    InvalidInputError
        Where a column of the strategy is missing, or the mask of components is unknown (16).
    BadDataError
        Where rows and volumes differ in number, or a value is missing after the first rows (65).
    """
    chosen = resolve_strategy(strategy)
    if not wants_columns(chosen):
        n_rows = n_volumes or 0
        return ConfoundSelection((), np.zeros((n_rows, 0)), "none", ())
    frame, where = _read_table(table)
    if n_volumes is not None and len(frame) != n_volumes:
        raise BadDataError(
            "The confounds table and the BOLD file differ in length.",
            where=where,
            found=f"{len(frame)} rows",
            wanted=f"{n_volumes} rows, one per volume",
            remedy="check that both come from the same fMRIPrep run",
        )
    source = _Source(frame, _read_sidecar(sidecar), where)
    warnings: list[str] = []
    names = source.columns_of(chosen, own_high_pass, warnings)
    values = source.values(names)
    still = [name for name, column in zip(names, values.T, strict=True) if np.ptp(column) == 0]
    if still:
        warnings.append(f"confounds that do not vary take nothing out: {some_of(still)}")
    extra_names, extra_values = source.scrubbed(chosen.scrub)
    return ConfoundSelection(
        (*names, *extra_names),
        np.hstack([values, extra_values]),
        _describe(chosen, own_high_pass),
        tuple(warnings),
    )


def check_columns(
    names: Iterable[str],
    sidecar: Path | None,
    strategy: ConfoundStrategy,
    where: str,
) -> None:
    """Complain about columns that a strategy wants and a table lacks, from its header alone.

    Parameters
    ----------
    names : iterable of str
        The header.
    sidecar, strategy
        As for `select_confounds`.
    where : str
        The table, for the message.

    Raises
    ------
    InvalidInputError
    """
    import pandas as pd

    empty = pd.DataFrame(columns=[_current_name(name) for name in names])
    source = _Source(empty, _read_sidecar(sidecar), where)
    source.columns_of(strategy, own_high_pass=False, warnings=[])
    source.scrubbed(strategy.scrub)


def wants_columns(strategy: ConfoundStrategy) -> bool:
    """Whether a strategy needs a table at all."""
    s = strategy
    wanted = (s.columns, s.patterns, s.compcor, s.n_tcompcor, s.cosine, s.aroma, s.scrub)
    return any(wanted)


def _describe(strategy: ConfoundStrategy, own_high_pass: bool) -> str:
    if not (own_high_pass and strategy.cosine):
        return strategy.description
    words = [part for part in strategy.description.split(", ") if not part.startswith("slow cosin")]
    return ", ".join(words) or "none"


def _read_table(table: str | Path | pd.DataFrame | None) -> tuple[pd.DataFrame, str]:
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table.rename(columns=_current_name), "the table given"
    problem = "no table" if table is None else content_problem(Path(table))
    if problem or table is None:
        raise MissingInputError(
            "The confounds table cannot be read.",
            where=table,
            found=problem,
            wanted="fMRIPrep's desc-confounds_timeseries.tsv",
            remedy="fetch or add it, or give --confounds none",
        )
    frame = read_frame(Path(table))
    # Tables that were saved with their row numbers.
    frame = frame.loc[:, [not str(name).startswith("Unnamed:") for name in frame.columns]]
    return frame.rename(columns=_current_name), str(table)


def _current_name(name: str) -> str:
    name = str(name).strip()
    if name in _OLD_NAMES:
        return _OLD_NAMES[name]
    match = re.fullmatch(r"([A-Za-z]+?)(\d+)", name)
    if match and match[1] in _OLD_NUMBERED:
        return _OLD_NUMBERED[match[1]] + match[2]
    return name


def _read_sidecar(sidecar: Path | None) -> dict[str, Any]:
    return {} if sidecar is None or content_problem(sidecar) else read_object(sidecar)


class _Source:
    """A confounds table with current names, and what its sidecar says."""

    def __init__(self, frame: pd.DataFrame, sidecar: dict[str, Any], where: str) -> None:
        self._frame = frame
        self._names = [str(name) for name in frame.columns]
        self._sidecar = {
            _current_name(key): value for key, value in sidecar.items() if isinstance(value, dict)
        }
        self._where = where

    def columns_of(
        self, strategy: ConfoundStrategy, own_high_pass: bool, warnings: list[str]
    ) -> list[str]:
        """Names in the order of the strategy, each once."""
        aroma = [name for name in self._names if re.fullmatch(r"aroma_motion_\d+", name)]
        if strategy.aroma and not aroma:
            self._missing(
                "aroma_motion_* columns",
                "fMRIPrep writes them with --use-aroma (up to 23.0); choose another strategy",
            )
        names = [self._available(name) for name in strategy.columns]
        for pattern in strategy.patterns:
            matches = [name for name in self._names if re.fullmatch(pattern, name)]
            if not matches:
                self._missing(f"a column that matches {pattern!r}")
            names += matches
        for mask, n_components in strategy.compcor:
            names += self._compcor(mask, n_components, warnings)
        if strategy.n_tcompcor:
            names += self._numbered("t_comp_cor_", strategy.n_tcompcor, "tCompCor", warnings)
        if strategy.aroma:
            names += aroma
        if strategy.cosine and not own_high_pass:
            names += [name for name in self._names if re.fullmatch(r"cosine\d+", name)]
        elif strategy.compcor and not own_high_pass and not strategy.cosine:
            warnings.append(
                "aCompCor components were computed on high-pass filtered data: "
                "use them with cosine or --high-pass"
            )
        if own_high_pass:
            # Whatever asked for them: the filter would be applied twice.
            names = [name for name in names if not re.fullmatch(r"cosine\d+", name)]
        return list(dict.fromkeys(names))

    def _missing(self, wanted: str, remedy: str | None = None) -> None:
        raise InvalidInputError(
            "The confounds table lacks columns of the chosen strategy.",
            where=self._where,
            found=f"{len(self._names)} columns: {some_of(self._names)}",
            wanted=wanted,
            remedy=remedy or "choose another strategy with --confounds, or correct the YAML file",
        )

    def _available(self, name: str) -> str:
        if name not in self._names and _base_name(name) not in self._names:
            self._missing(f"a column {name}")
        return name

    def _numbered(
        self, prefix: str, n_components: int, what: str, warnings: list[str]
    ) -> list[str]:
        names = [name for name in self._names if re.fullmatch(rf"{prefix}\d+", name)]
        return self._first(names, n_components, what, warnings)

    def _first(
        self, names: list[str], n_components: int, what: str, warnings: list[str]
    ) -> list[str]:
        if not names:
            self._missing(f"{what} components")
        if len(names) < n_components:
            warnings.append(f"only {len(names)} of {n_components} {what} components are there")
        return names[:n_components]

    def _compcor(self, mask: str, n_components: int, warnings: list[str]) -> list[str]:
        """The first components of a mask, by the sidecar or by their names."""
        what = f"aCompCor ({mask} mask)"
        pattern = re.compile(r"[acw]_comp_cor_\d+")
        components = [name for name in self._names if pattern.fullmatch(name)]
        described = [name for name in components if "Mask" in self._sidecar.get(name, {})]
        if described:
            of_mask = [name for name in described if self._sidecar[name]["Mask"] == mask]
            of_mask.sort(key=self._rank)
            return self._first(of_mask, n_components, what, warnings)
        # fMRIPrep 21 and later name the masks; up to 1.3 there were six components, all combined.
        named_masks = any(name.startswith(("w_", "c_")) for name in components)
        if named_masks or (mask == "combined" and len(components) <= 6):
            prefix = _PREFIX_OF_MASK[mask]
            return self._numbered(prefix, n_components, what, warnings)
        raise InvalidInputError(
            "The masks of the aCompCor components are not known.",
            where=self._where,
            found=f"{len(components)} components and no JSON file that describes them",
            wanted="the JSON file that fMRIPrep writes beside the table",
            remedy="fetch or add the JSON file, or choose a strategy without aCompCor "
            "(--confounds 24P)",
        )

    def _rank(self, name: str) -> tuple[float, str]:
        value = self._sidecar[name].get("SingularValue", 0.0)
        if not is_number(value):
            raise InvalidInputError(
                "The order of the aCompCor components is not known.",
                where=self._where,
                found=f"SingularValue {value!r} of {name} in the JSON file",
                wanted="a number",
                remedy="correct the JSON file, or choose a strategy without aCompCor "
                "(--confounds 24P)",
            )
        return (-float(value), name)

    def values(self, names: list[str]) -> np.ndarray:
        """Columns as float64, with 0 for the missing first values."""
        columns = [self._column(name) for name in names]
        return np.column_stack(columns) if columns else np.zeros((len(self._frame), 0))

    def _column(self, name: str) -> np.ndarray:
        if name in self._names:
            return self._filled(name)
        column = self._filled(_base_name(name))
        if "_derivative1" in name:
            column = np.diff(column, prepend=column[:1])
        return column**2 if name.endswith("_power2") else column

    def _filled(self, name: str) -> np.ndarray:
        import pandas as pd

        raw = self._frame[name]
        if isinstance(raw, pd.DataFrame):
            self._bad(f"{raw.shape[1]} columns named {name}", "one column")
        column = np.array(pd.to_numeric(raw, errors="coerce"), dtype=np.float64)
        missing = ~np.isfinite(column)
        wrong = np.flatnonzero(np.isnan(column) & raw.notna().to_numpy())
        if wrong.size:
            self._bad(
                f"{raw.iloc[wrong[0]]!r} in row {wrong[0] + 1} of column {name}",
                "numbers, with a decimal point",
            )
        n_steady = sum(other.startswith("non_steady_state_outlier") for other in self._names)
        # One row is lost per derivative, and fMRIPrep leaves dummy scans out of some measures.
        n_first = n_steady + 2
        if missing[n_first:].any():
            rows = np.flatnonzero(missing)
            rows = rows[rows >= n_first]
            self._bad(
                f"no number in row {rows[0] + 1} of column {name} ({rows.size} such rows)",
                "numbers; n/a only in the first rows",
            )
        column[missing] = 0.0
        return column

    def _bad(self, found: str, wanted: str) -> None:
        raise BadDataError(
            "The confounds table has values that cannot be used.",
            where=self._where,
            found=found,
            wanted=wanted,
            remedy="rerun fMRIPrep for this run, or choose a strategy without this column",
        )

    def scrubbed(self, thresholds: Mapping[str, float]) -> tuple[list[str], np.ndarray]:
        """One regressor for each volume above a threshold."""
        n_rows = len(self._frame)
        above = np.zeros(n_rows, dtype=bool)
        for name, threshold in thresholds.items():
            if name not in self._names:
                self._missing(f"a column {name}")
            above |= self._filled(name) > threshold
        rows = np.flatnonzero(above)
        values = np.zeros((n_rows, rows.size))
        values[rows, np.arange(rows.size)] = 1.0
        return [f"scrubbed_volume{row:04d}" for row in rows], values


def _base_name(name: str) -> str:
    return name.removesuffix("_power2").removesuffix("_derivative1")
