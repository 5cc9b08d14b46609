"""What may be claimed about a group: one rule for the log, the page, tables and sidecars.

Everybody heard the same few pieces, and brain noise follows the brain's own connectivity. No
single test sees both, so a claim needs a test at every level: over people, over music and, where a
map is compared with a gradient, over place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from bids_app.errors import BadDataError, check_shape
from bids_app.group.alignment import two_sided_p
from bids_app.statistics import SIGNIFICANCE, p_number, p_told

FloatArray = npt.NDArray[np.float64]

PEOPLE, MUSIC, PLACE, PARTIAL = "people", "music", "place", "place given accuracy"
LEVELS = {
    "predicted": (PEOPLE, MUSIC),
    "aligned": (PEOPLE, MUSIC, PLACE, PARTIAL),
    "along": (PEOPLE, MUSIC, PLACE),
    "differs": (PEOPLE, MUSIC),
    "follows": (PEOPLE, MUSIC),
}
"""Levels that a kind of claim needs: a map is predicted; a preference is aligned with a gradient;
the accuracy of a layer runs along it; two models differ; a region follows a feature."""
DETECTABLE = 2.8
"""Standard deviations of a null that a two-sided test at .05 finds with a power of .8."""


@dataclass(frozen=True)
class LevelTest:
    """A test at one level.

    Attributes
    ----------
    level : str
        ``people``, ``music``, ``place`` or ``place given accuracy``.
    p : float
        What decides, corrected where the claim is one of several; NaN where nothing was tested.
    statistic : float
        Its sign is that of the effect.
    n_draws : int
        Flips, draws or rotations behind p; 0 for a p in closed form.
    smallest : float
        Smallest p that the test can give.
    sd : float
        Standard deviation of the null, in the unit of `statistic`; NaN where it is not known.
    reason : str
        Why nothing was tested.
    """

    level: str
    p: float = float("nan")
    statistic: float = float("nan")
    n_draws: int = 0
    smallest: float = 0.0
    sd: float = float("nan")
    reason: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> LevelTest:
        """The test that a file holds, where NaN is null; what it does not know is left out."""
        known = {one.name for one in fields(cls)}
        missing = float("nan")
        values: dict[str, Any] = {
            name: missing if value is None else value
            for name, value in record.items()
            if name in known
        }
        return cls(**values)

    @property
    def record(self) -> dict[str, Any]:
        """As a file holds it."""
        return asdict(self)

    @property
    def tested(self) -> bool:
        """Whether there is a p."""
        return bool(np.isfinite(self.p) and np.isfinite(self.statistic))

    @property
    def possible(self) -> bool:
        """Whether the test can pass at all."""
        return self.smallest < SIGNIFICANCE

    @property
    def passed(self) -> bool:
        """Whether the level holds."""
        return self.tested and self.p < SIGNIFICANCE

    @property
    def detectable(self) -> float:
        """Smallest effect that this level alone could have shown (power .8)."""
        return DETECTABLE * self.sd


@dataclass(frozen=True)
class Claim:
    """A claim, its statements if every level holds or not, and the tests that decide.

    Attributes
    ----------
    kind : str
        A key of `LEVELS`.
    holds, fails : str
        Sentences without a full stop: the claim, and the statement where it does not hold.
    tests : sequence of LevelTest
        At most one per level, in any order.
    detail : str
        Statistic that is printed before the p: ``mean correlation 0.31``.
    direction : str
        Text after `detail` where the claim holds, such as the direction of the statistic.
    unit : str
        What the statistic over music is: ``a mean correlation of``.
    planned : str
        Condition under which the detectable effect would be found; by default, in a family of
        claims, that this claim were the only planned test.
    doubts : sequence of str
        Reasons not to claim it even if all tests hold.
    family : str
        Claims that p was corrected over; empty for an uncorrected claim.
    caveats : sequence of str
        Sentences that belong to the claim whether it holds or not.
    """

    kind: str
    holds: str
    fails: str
    tests: Sequence[LevelTest]
    detail: str = ""
    direction: str = ""
    unit: str = "an effect of"
    planned: str = ""
    doubts: Sequence[str] = ()
    family: str = ""
    caveats: Sequence[str] = ()

    def __post_init__(self) -> None:
        levels = [test.level for test in self.tests]
        if self.kind not in LEVELS or len(set(levels)) < len(levels):
            raise BadDataError(
                "A claim needs a known kind and at most one test per level.",
                where=self.kind,
                found=", ".join(levels),
                wanted=", ".join(LEVELS),
                remedy="give one test for each of these levels at most",
            )


@dataclass(frozen=True)
class Decision:
    """Whether a claim is made, and its sentence.

    Attributes
    ----------
    claimed : bool
    failed : tuple of str
        Levels that do not hold, in the order of `LEVELS`: the first is the one to name.
    untested : tuple of str
        Of these, levels without a test.
    impossible : tuple of str
        Of these, levels at which no result was possible.
    same_sign : bool
        Whether all tests point in one direction.
    sentence : str
        What may be said.
    """

    claimed: bool
    failed: tuple[str, ...]
    untested: tuple[str, ...]
    impossible: tuple[str, ...]
    same_sign: bool
    sentence: str


def decide(claim: Claim) -> Decision:
    """Decide a claim: every level has to hold, all with the same sign.

    Parameters
    ----------
    claim : Claim

    Returns
    -------
    Decision

    Examples
    --------
    >>> claim = Claim(
    ...     "predicted",
    ...     "Layers predict",
    ...     "Nothing is shown",
    ...     (LevelTest("people", p=0.01, statistic=3.0), LevelTest("music", p=0.2, statistic=1.3)),
    ... )
    >>> decided = decide(claim)
    >>> decided.claimed, decided.failed
    (False, ('music',))
    >>> decided.sentence
    'Nothing is shown: it does not hold over music (people p = .010, music p = .200).'
    """
    known = {test.level: test for test in claim.tests}
    nothing = "no such test in the folder"
    tests = [known.get(one, LevelTest(one, reason=nothing)) for one in LEVELS[claim.kind]]
    signs = {float(np.sign(test.statistic)) for test in tests if test.tested}
    same_sign = len(signs) <= 1 and 0.0 not in signs
    failed = tuple(test.level for test in tests if not test.passed)
    claimed = not failed and same_sign and not claim.doubts
    return Decision(
        claimed=claimed,
        failed=failed,
        untested=tuple(test.level for test in tests if not test.tested),
        impossible=tuple(test.level for test in tests if test.tested and not test.possible),
        same_sign=same_sign,
        sentence=_sentence(claim, tests, same_sign=same_sign, claimed=claimed),
    )


def _sentence(claim: Claim, tests: Sequence[LevelTest], *, same_sign: bool, claimed: bool) -> str:
    numbers = ", ".join(f"{test.level} {p_told(test.p)}" for test in tests if test.tested)
    corrected = f"corrected over {claim.family}" if claim.family and numbers else ""
    detail = claim.detail + (claim.direction if claimed else "")
    inside = "; ".join(filter(None, (detail, numbers, corrected)))
    told = f" ({inside})" if inside else ""
    if claimed:
        return " ".join([f"{claim.holds}{told}.", *claim.caveats])
    reasons = [*claim.doubts, *_reasons(tests)]
    start = claim.fails
    if impossible := _impossible(tests):
        start = f"{impossible}, whether or not {claim.holds[0].lower()}{claim.holds[1:]}"
    elif not reasons and not same_sign:
        signs = ", ".join(f"{test.level} {'+' if test.statistic > 0 else '-'}" for test in tests)
        reasons = [f"the tests do not agree in sign ({signs})"]
    because = "; ".join(reasons)
    if because:
        because = f". {because[0].upper()}{because[1:]}" if impossible else f": {because}"
    sentences = [f"{start}{because}{told}.", *_could_have_shown(claim, tests)]
    return " ".join([*sentences, *claim.caveats])


def _reasons(tests: Sequence[LevelTest]) -> list[str]:
    """Why it is not claimed: levels without a test first."""
    told = [
        f"tested over {test.level}, not available ({test.reason or 'no statistic'})"
        for test in tests
        if not test.tested
    ]
    failed = [t.level for t in tests if t.tested and t.possible and not t.passed]
    if failed:
        told.append(f"it does not hold over {_listed(failed)}")
    return told


def _impossible(tests: Sequence[LevelTest]) -> str:
    """That no p could have been small enough, which is no result: neither yes nor no."""
    levels = [test for test in tests if test.tested and not test.possible]
    if not levels:
        return ""
    smallest = p_number(max(test.smallest for test in levels))
    named = _listed([test.level for test in levels])
    few = "participants" if [test.level for test in levels] == [PEOPLE] else "draws"
    return f"Nothing could be shown over {named}, since no p is below {smallest} with so few {few}"


def _listed(levels: Sequence[str]) -> str:
    return ", ".join(levels[:-1]) + (" and " if levels[:-1] else "") + levels[-1]


def _could_have_shown(claim: Claim, tests: Sequence[LevelTest]) -> list[str]:
    music = next(test for test in tests if test.level == MUSIC)
    if not music.tested or not np.isfinite(music.sd):
        return []
    planned = claim.planned or (" in one planned test" if claim.family else "")
    return [f"The music alone could have shown {claim.unit} {music.detectable:.3g}{planned}."]


def holds(*p: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Where every level of a map holds.

    Parameters
    ----------
    *p : arrays of one shape
        p or q at each level; NaN where nothing was tested.

    Returns
    -------
    bool array of that shape

    Examples
    --------
    >>> holds([0.01, 0.01, 0.2], [0.03, np.nan, 0.01]).tolist()  # over people, over music
    [True, False, False]
    """
    passed = [np.nan_to_num(np.asarray(one, np.float64), nan=1.0) < SIGNIFICANCE for one in p]
    return np.asarray(np.logical_and.reduce(passed))


def correct_together(
    observed: npt.ArrayLike, draws: npt.ArrayLike, sd: npt.ArrayLike | None = None
) -> FloatArray:
    """Two-sided p of several claims, corrected by the largest ``|z|`` over draws that they share.

    Parameters
    ----------
    observed : (n_claims,) array
        Statistics; NaN for what was not tested.
    draws : (n_claims, n_draws) array
        Their null distributions; a column is one draw, the same for all.
    sd : (n_claims,) array, optional
        Standard deviations that make them comparable; those of the draws without it.

    Returns
    -------
    (n_claims,) float64
        ``(1 + #{max |z| >= |z|}) / (1 + n_draws)``; NaN where nothing was tested.

    Raises
    ------
    BadDataError
        If shapes disagree.

    Examples
    --------
    >>> draws = np.random.default_rng(0).standard_normal((2, 999))
    >>> (correct_together([4.5, 1.0], draws) < 0.05).tolist()
    [True, False]
    """
    observed = np.asarray(observed, dtype=np.float64)
    draws = np.asarray(draws, dtype=np.float64)
    check_shape("observed", observed, "n_claims")
    check_shape("draws", draws, len(observed), "n_draws")
    spread = draws.std(axis=1) if sd is None else np.asarray(sd, dtype=np.float64)
    p = np.full(len(observed), np.nan)
    usable = np.isfinite(observed) & np.isfinite(draws).all(axis=1) & (spread > 0)
    if usable.any():
        z = np.abs(draws[usable]) / spread[usable, np.newaxis]
        largest = np.broadcast_to(z.max(axis=0), z.shape)
        p[usable] = two_sided_p(np.abs(observed[usable]) / spread[usable], largest)
    return p
