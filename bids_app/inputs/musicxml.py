"""Notes of a MusicXML score, at the times that its tempo marks give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_TEMPO = 120.0
_LOUDNESS = 64.0


@dataclass
class _Part:
    """Where a part is, in quarter notes, and what its last attributes said."""

    divisions: float = 1.0
    transposed: int = 0
    at: float = 0.0
    end: float = 0.0
    chord: float = 0.0
    tied: dict[int, int] = field(default_factory=dict)


@dataclass
class ScoreNotes:
    """Notes of a score.

    Attributes
    ----------
    rows : list of [onset, duration, pitch, velocity]
        In quarter notes, until `seconds` are asked for.
    tempos : list of (float, float)
        From which quarter note on how many of them come in a minute.
    remarks : list of str
        What of the score was not followed.
    """

    rows: list[list[float]] = field(default_factory=list)
    tempos: list[tuple[float, float]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def seconds(self) -> np.ndarray:
        """Onset and duration in seconds, pitch, velocity; (n_notes, 4) float64."""
        rows = np.array(self.rows, dtype=np.float64).reshape(-1, 4)
        tempos = dict(sorted(self.tempos))
        first = next(iter(tempos.values()), _TEMPO)
        borders = np.array([0.0, *(at for at in tempos if at > 0)])
        speeds = np.array([tempos.get(0.0, first), *(v for at, v in tempos.items() if at > 0)])
        starts = np.concatenate([[0.0], np.cumsum(np.diff(borders) * 60 / speeds[:-1])])

        def when(quarters: np.ndarray) -> np.ndarray:
            place = np.searchsorted(borders, quarters, side="right") - 1
            return np.asarray(starts[place] + (quarters - borders[place]) * 60 / speeds[place])

        ends = when(rows[:, 0] + rows[:, 1])
        rows[:, 0] = when(rows[:, 0])
        rows[:, 1] = ends - rows[:, 0]
        return rows


def score_notes(root: Element) -> ScoreNotes:
    """Notes of a score in parts; tied notes are one, grace notes and unpitched ones are left out.

    Raises
    ------
    ValueError
        It is no score in parts, or a number in it is none.
    """
    if root.tag != "score-partwise":
        raise ValueError(f"a {root.tag}, wanted a score-partwise")
    score = ScoreNotes()
    for part in root.iter("part"):
        place = _Part()
        for measure in part.iter("measure"):
            for element in measure:
                _take(element, place, score)
            # Voices may be shorter than their measure.
            place.at = place.end
    if next(root.iter("repeat"), None) is not None:
        score.remarks.append("its repeats are not played")
    if not score.tempos:
        score.remarks.append(f"it says no tempo: {_TEMPO:g} quarter notes a minute are taken")
    return score


def _take(element: Element, place: _Part, score: ScoreNotes) -> None:
    if element.tag == "attributes":
        place.divisions = _number(element, "divisions", place.divisions)
        if not place.divisions > 0:
            raise ValueError(f"divisions of {place.divisions:g}")
        if (shift := element.find("transpose")) is not None:
            octaves = _number(shift, "octave-change", 0)
            place.transposed = round(_number(shift, "chromatic", 0) + 12 * octaves)
    elif element.tag in ("backup", "forward"):
        sign = -1 if element.tag == "backup" else 1
        place.at += sign * _number(element, "duration", 0) / place.divisions
        place.end = max(place.end, place.at)
    elif element.tag == "note":
        _take_note(element, place, score)
    for sound in _sounds(element):
        speed = float(sound.get("tempo", ""))
        if not (0 < speed < float("inf")):
            raise ValueError(f"a tempo of {speed:g}")
        score.tempos.append((place.at, speed))


def _sounds(element: Element) -> Iterator[Element]:
    if element.tag in ("direction", "sound"):
        yield from (sound for sound in element.iter("sound") if "tempo" in sound.attrib)


def _take_note(element: Element, place: _Part, score: ScoreNotes) -> None:
    if element.find("grace") is not None:
        return
    length = _number(element, "duration", 0) / place.divisions
    if element.find("chord") is None:
        place.chord = place.at
        place.at += length
        place.end = max(place.end, place.at)
    pitch = element.find("pitch")
    if pitch is None:
        return
    step = _STEPS.get((pitch.findtext("step") or "").strip())
    if step is None:
        raise ValueError(f"a note called {pitch.findtext('step')!r}")
    height = 12 * (_number(pitch, "octave", 4) + 1) + step + _number(pitch, "alter", 0)
    number = round(height) + place.transposed
    ties = {tie.get("type") for tie in element.iter("tie")}
    if "stop" in ties and number in place.tied:
        row = score.rows[place.tied[number]]
        row[1] = max(row[1], place.chord + length - row[0])
    else:
        score.rows.append([place.chord, length, float(number), _LOUDNESS])
        place.tied[number] = len(score.rows) - 1
    if "start" not in ties:
        place.tied.pop(number, None)


def _number(element: Element, name: str, otherwise: float) -> float:
    text = element.findtext(name)
    return otherwise if text is None else float(text)
