"""Whose ratings are whose: one that stands for several people counts once over people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def rating_name(scale: str, stimulus: str) -> str:
    """Under what the inputs of a result record the checksum of a rating."""
    return f"rating {scale} of {stimulus}"


def ratings_among(
    inputs: Mapping[str, str], scales: Sequence[str], stimuli: Sequence[str]
) -> set[str]:
    """Checksums of the ratings of some scales and stimuli among recorded inputs.

    Examples
    --------
    >>> inputs = {"rating Joy of happy": "1f", "rating Fear of happy": "2e", "plan": "3d"}
    >>> ratings_among(inputs, ["Joy"], ["happy"])
    {'1f'}
    """
    names = {rating_name(scale, stimulus) for scale in scales for stimulus in stimuli}
    return {checksum for name, checksum in inputs.items() if name in names}


def independent_raters(
    participants: Sequence[str], ratings: Mapping[str, Collection[str]]
) -> tuple[list[str], dict[str, str]]:
    """Participants none of whose ratings is one of a participant before.

    What layers predict of a rating depends on nothing of the person for whom a mean stands, so
    that two such people are one observation.

    Parameters
    ----------
    participants : sequence of str
    ratings : mapping from participant to checksums
        Of all ratings that are tested; without any a participant has ratings of their own.

    Returns
    -------
    raters : list of str
        In the order of `participants`.
    copies : dict from participant to str
        Why each of the others is none.

    Examples
    --------
    >>> independent_raters(["01", "02", "03"], {"01": ["1f"], "02": ["2e"], "03": ["2e"]})
    (['01', '02'], {'03': 'has a rating of sub-02, which counts once'})
    """
    raters: list[str] = []
    whose: dict[str, str] = {}
    copies: dict[str, str] = {}
    for participant in participants:
        own = ratings.get(participant, ())
        first = next((whose[one] for one in own if one in whose), None)
        if first is not None:
            copies[participant] = f"has a rating of sub-{first}, which counts once"
            continue
        raters.append(participant)
        whose.update(dict.fromkeys(own, participant))
    return raters, copies
