"""Lag scans over participants: collect, test over people and over music, write."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bids_app.analyses.folder.read import (
    RECORD,
    check_outputs,
    damaged,
    read_completed,
    read_maps,
    read_rows,
)
from bids_app.analyses.group.analysis import RESPONSES, GroupAnalysis
from bids_app.analyses.group.clock import read_clock
from bids_app.analyses.group.cohort import Cohort, who_has
from bids_app.analyses.group.collect import check_same_settings
from bids_app.analyses.group.lag_tests import (
    FeatureLags,
    LagPart,
    LagTest,
    correct_features,
    lag_test,
)
from bids_app.analyses.group.write import GroupWriter
from bids_app.analyses.mapped import save_series
from bids_app.analyses.participant.lag_maps import (
    AUDITORY,
    CONSTANT,
    CURVE_COLUMNS,
    curve_rows,
    feature_varies,
    scanned_regions,
)
from bids_app.analyses.participant.lag_plan import LAGS, scanned_times
from bids_app.config import Statistics
from bids_app.group.claims import (
    holds,
)
from bids_app.loading import load_array
from bids_app.outputs import LAG_SCAN_LABEL, OutputTree, parse_entities, sidecar_of
from bids_app.report.group import Shown
from bids_app.report.lag_scan import CLAIMED, lag_group_sections
from bids_app.seeds import generator
from bids_app.surface.lag import region_mean
from bids_app.surface.lag_group import OthersScan, others_scan
from bids_app.surface.lag_scan import AT_EDGE, MIN_ROWS, UNCLEAR, LagRun
from bids_app.surface.mesh import load_mesh

LOGGER = logging.getLogger("bids_app.analyses")

FloatArray = NDArray[np.float64]
_Course = tuple[FloatArray, FloatArray, FloatArray]
_COLUMNS = 512
"""Vertices tested at a time; they do not change the result."""


@dataclass(frozen=True, eq=False)
class LagGroup:
    """Lag scans of all features over participants.

    Attributes
    ----------
    group : Cohort
        `left_out` also has presentations that are left out.
    features : list of FeatureLags
    """

    group: Cohort
    features: list[FeatureLags]


def scan_group(
    tree: OutputTree,
    participants: Sequence[str],
    statistics: Statistics,
    folder: Path,
    n_threads: int = 1,
) -> LagGroup | None:
    """Test every feature that participants have scans of; None where nobody has any.

    `folder` is for memory-mapped responses.
    """
    pattern = f"sub-*_model-{LAG_SCAN_LABEL}_desc-*_settings.json"
    done = {
        parse_entities(path)["desc"]
        for who in participants
        for path in tree.participant_dir(who).glob(pattern)
    }
    found: list[tuple[FeatureLags, LagPart]] = []
    left_out: dict[str, str] = {}
    space = ""
    for label in sorted(done):
        there = tree.participants_of(LAG_SCAN_LABEL, label)
        people, lacking = who_has(participants, there, label, "lag scan")
        left_out |= lacking
        if not people:
            continue
        study = _Study(tree, label, people, statistics, folder, n_threads)
        left_out |= study.left_out
        if len(study.people) < 2:
            left_out[label] = "fewer than two participants have responses that can be scanned"
            continue
        space = study.space
        found.append(study.tested())
    features = correct_features(found, statistics.flips)
    for what, why in left_out.items():
        LOGGER.warning("group: lag scan without %s: %s", what, why)
    if not features:
        return None
    people = [who for who in participants if any(who in one.participants for one in features)]

    def files(who: str) -> list[Path]:
        return [tree.participant_settings(who, LAG_SCAN_LABEL, label) for label in sorted(done)]

    return LagGroup(Cohort.of(LAG_SCAN_LABEL, space, people, files, left_out), features)


class _Study:
    """Runs of everybody for one feature."""

    def __init__(
        self,
        tree: OutputTree,
        label: str,
        people: Sequence[str],
        statistics: Statistics,
        folder: Path,
        n_threads: int,
    ) -> None:
        self.tree, self.label, self.people = tree, label, list(people)
        self.statistics, self.folder, self.n_threads = statistics, folder, n_threads
        paths = [tree.participant_settings(who, LAG_SCAN_LABEL, label) for who in people]
        stored = [read_completed(path, LeftOut=dict, Feature=str, **RECORD) for path in paths]
        for one in stored:
            check_outputs(tree, one)
        check_same_settings(tree, LAG_SCAN_LABEL, people, stored, desc=label)
        self.settings: dict[str, Any] = stored[0]["Settings"]
        self.name, self.space = str(stored[0]["Feature"]), str(self.settings["space"])
        self.mesh = load_mesh(self.space)
        self.left_out: dict[str, str] = {}
        self.places = scanned_regions(statistics.atlases, (), self.mesh, {})
        self.courses: dict[str, _Course] = {}
        self.runs: list[list[tuple[Path, FloatArray, str]]] = []
        self.means: list[list[FloatArray]] = []
        self.people = [who for number, who in enumerate(people) if self._read(number, who)]
        self._lacking_regions()

    def _lacking_regions(self) -> None:
        """Name what participants scanned and the group has not."""
        known = {(one.kind, one.name) for one in self.places}
        lacking: dict[str, set[str]] = {}
        for who in self.people:
            place = {"model": LAG_SCAN_LABEL, "feature": self.label, "desc": "regions"}
            path = self.tree.participant_file(who, "summary.tsv", **place)
            table = read_rows(path, ("region", "kind"), region=str, kind=str)
            for kind, name in zip(table["kind"], table["region"], strict=True):
                if (kind, name) not in known:
                    lacking.setdefault(kind, set()).add(name)
        for kind, names in lacking.items():
            what = "seeds" if kind == "seed" else f"{len(names)} regions of {kind}"
            self.left_out[f"{self.label}, {what}"] = (
                "scanned in participants only"
                if kind == "seed"
                else "scanned in participants; not in an atlas of the group level (--atlas)"
            )

    def _read(self, number: int, who: str) -> bool:
        """Keep the responses of a participant in files, and the means of the regions.

        Whoever has none that can be scanned is left out.
        """
        runs, means = [], []
        found = self.tree.responses(who, self.space)
        for k, left in enumerate(found):
            clock = read_clock(sidecar_of(left))
            stim = parse_entities(left)["stim"]
            if len(scanned_times(clock.times)) < MIN_ROWS:
                self.left_out[f"sub-{who}, {stim}"] = "too few volumes with music at every lag"
                continue
            if not feature_varies(*self._course(who, stim), clock.times):
                self.left_out[f"sub-{who}, {self.label}, {stim}"] = CONSTANT
                continue
            values = read_maps(left, self.space, n_arrays=len(clock.times))
            path = save_series(self.folder / f"lags_{self.label}_{number}_{k}.npy", values)
            runs.append((path, clock.times, stim))
            means.append(
                np.stack([region_mean(values[:, one.vertices]) for one in self.places], axis=1)
            )
        if not runs:
            self.left_out[f"sub-{who}, {self.label}"] = (
                "none of its presentations can be scanned"
                if found
                else "no cleaned responses in the output folder"
            )
            return False
        self.runs.append(runs)
        self.means.append(means)
        return True

    def _course(self, who: str, stim: str) -> _Course:
        """Times of a piece, the feature as it is and as it was scanned; the same in everybody."""
        place = {"stim": stim, "model": LAG_SCAN_LABEL, "feature": self.label, "desc": "course"}
        path = self.tree.participant_file(who, "timeseries.tsv", **place)
        table = read_rows(path, ("time_s", "value", "scanned"))
        times, values, scanned = (
            table[name].to_numpy(np.float64) for name in ("time_s", "value", "scanned")
        )
        found = (times, values, scanned)
        known = self.courses.setdefault(stim, found)
        if not all(np.array_equal(one, two) for one, two in zip(known, found, strict=True)):
            raise damaged(path, "another course", "that of the other participants")
        return known

    def tested(self) -> tuple[FeatureLags, LagPart]:
        """Vertices and regions, over people and over music; and what tests them with others."""
        LOGGER.info("group: lags behind %s, %d participants", self.name, len(self.people))
        loaded = [[load_array(path, mapped=True) for path, *_ in own] for own in self.runs]
        n_vertices = loaded[0][0].shape[1]

        def scan(start: int) -> LagPart:
            part = slice(start, start + _COLUMNS)
            return LagPart.of(self._scan([[values[:, part] for values in own] for own in loaded]))

        with ThreadPoolExecutor(self.n_threads) as pool:
            parts = list(pool.map(scan, range(0, n_vertices, _COLUMNS)))
        flips = {**self.statistics.flips, "n_threads": self.n_threads}
        n_draws = int(self.settings["n_draws"])
        vertices = lag_test(parts, flips)
        means = LagPart.of(self._scan(self.means))
        regions = lag_test([means], flips)
        told = FeatureLags(
            self.label, self.name, self.people, vertices, regions, self.places, n_draws
        )
        return told, means

    def _scan(self, responses: Sequence[Sequence[NDArray[np.floating]]]) -> OthersScan:
        people = [
            [
                LagRun(
                    values,
                    times,
                    self.courses[stim][2],
                    self.courses[stim][0],
                    heard=(float(times[0]), float(times[-1])),
                )
                for values, (_, times, stim) in zip(own, runs, strict=True)
            ]
            for own, runs in zip(responses, self.runs, strict=True)
        ]
        # The same draws for all features: they are corrected together.
        rng = generator(int(self.settings["random_seed"]), "lag scan over music")
        return others_scan(people, LAGS, n_draws=int(self.settings["n_draws"]), rng=rng)


def write_group_lags(writer: GroupWriter, result: LagGroup) -> None:
    """Maps and tables of every feature."""
    for one in result.features:
        told = {
            "Feature": one.name,
            "SignConvention": "at a positive lag the brain follows the music",
            "Draws": one.n_draws,
        }
        own: dict[str, Any] = {"feature": one.label, "Participants": _named(one), **told}
        own["reads"] = _reads(one)
        for stat, desc, values, text in _maps(one.vertices):
            writer.statmap(stat, values, [one.name], desc=desc, description=text, **own)
        writer.table("summary", REGION_COLUMNS, _region_rows(one), desc="regions", **own)
        writer.table("timeseries", CURVE_COLUMNS, _curve_rows(one), desc="curves", **own)


def _named(one: FeatureLags) -> list[str]:
    return [f"sub-{who}" for who in one.participants]


def _reads(one: FeatureLags) -> list[dict[str, str]]:
    return [{"stat": "r", "feature": one.label}, dict(RESPONSES)]


def _maps(found: LagTest) -> Iterator[tuple[str, str, FloatArray, str]]:
    held = holds(found.people.p, found.music_max)
    both = np.where(np.isfinite(found.r), held, np.nan)
    own = "at the lag that all other participants choose"
    music = "phases of the responses drawn alike for everybody, lags chosen again in every draw"
    yield "lag", "", found.lag, "lag in seconds of the mean curve; NaN at the edge"
    yield "r", "", found.r, f"back-transformed mean Fisher z {own}"
    yield "t", "", found.people.t, f"t over participants of Fisher z {own}"
    yield "p", "maxt", found.people.p, f"two-sided sign-flip p {own}, max-T over vertices"
    yield "p", "music", found.music, f"two-sided p over music, uncorrected: {music}"
    yield "p", "musicmaxt", found.music_max, f"the same corrected by the largest |z|: {music}"
    yield "q", "music", found.music_q, f"q over vertices of the Gaussian p over music: {music}"
    yield (
        "n",
        "both",
        both,
        "1 where people and music (both corrected over vertices) hold; claims are about regions",
    )


def _region_rows(one: FeatureLags) -> list[dict[str, Any]]:
    found = one.regions
    return [
        {
            "region": place.name,
            "kind": place.kind,
            "hemisphere": place.hemisphere,
            "n_vertices": len(place.vertices),
            "n_participants": len(one.participants),
            "lag_s": found.lag[k],
            "r": found.r[k],
            "t": found.people.t[k],
            "p_people": found.people.p[k],
            "p_music": found.music[k],
            "p_corrected": found.music_max[k],
            "at_edge": bool(found.at_edge[k]),
            "state": state,
            "claimed": told.claimed,
            "sentence": told.sentence,
        }
        for k, (place, told, state) in enumerate(
            zip(one.places, one.decisions(), one.states(), strict=True)
        )
    ]


def _curve_rows(one: FeatureLags) -> list[dict[str, Any]]:
    return curve_rows(one.places, one.regions.curves)


def told_of_lags(result: LagGroup) -> dict[str, Any]:
    """Features, what is left out and why, and claims about auditory cortex and regions."""
    names = {one.label: one.name for one in result.features}
    claims = [
        one.record(k)
        for one in result.features
        for k, (place, held) in enumerate(zip(one.places, one.held, strict=True))
        if held or place.name == AUDITORY
    ]
    return {"Features": names, "LeftOut": result.group.left_out, "Claims": claims}


REGION_COLUMNS = {
    "region": "name of the region",
    "kind": "label of its atlas, or built in (around Heschl's gyrus)",
    "hemisphere": "L, R or both",
    "n_vertices": "vertices of the region",
    "n_participants": "participants tested",
    "lag_s": "seconds by which the mean curve follows the feature; n/a at the edge of the lags",
    "r": "correlation at the lag that all other participants choose, mean over participants",
    "t": "of its Fisher z over participants",
    "p_people": "two-sided sign flips, corrected by the largest |t| over regions and features",
    "p_music": "over music, uncorrected: random phases of the responses, the same for everybody",
    "p_corrected": "the same corrected by the largest |z| over regions and features",
    "at_edge": "whether the best lag is the first or the last that counts",
    "state": f"{CLAIMED} or {AT_EDGE}, where people and music hold, both corrected; {UNCLEAR}",
    "claimed": "whether people and music hold, corrected, with one sign, and not at the edge",
    "sentence": "what may be said",
}
LAG_SCANS = GroupAnalysis(
    "lag_scans",
    scan_group,
    write=write_group_lags,
    details=told_of_lags,
    model=LAG_SCAN_LABEL,
    people="group",
    of_weights=False,
    page=Shown(sections=(lag_group_sections,), once=True),
)
