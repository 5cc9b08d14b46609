"""The methods text: what a paper may copy, written from the settings that were used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_app import __version__
from bids_app.bands import Band
from bids_app.config import DEFAULT_FEATURES
from bids_app.features.registry import SPACES, recorded_space
from bids_app.meshes import FSAVERAGE, FSLR, MESHES
from bids_app.report.citations import CitedText, number_citations
from bids_app.resources import (
    BUNDLED_CORTEX,
    FIRST_GRADIENT,
    GRADIENTS,
    OWN_GRADIENT,
    SIGNAL_CORTEX,
    TEMPLATE_CORTEX,
)

INTRODUCTION = (
    f"Encoding models were fitted with musenc-bidsapp {__version__}, a BIDS-App [@gorgolewski2017]"
    " built on Nipype [@gorgolewski2011], after the approach of Kim, Overath and Sammler"
    " [@kim2024]. It reads functional series preprocessed by {preprocessing} [@esteban2019] from a"
    " BIDS dataset [@gorgolewski2016], on {surface}."
)
_SURFACES = {
    FSAVERAGE: "a surface of the fsaverage family [@fischl1999]",
    FSLR: "the fsLR 32k surface [@vanessen2012]",
}

_ORDINALS = (
    "principal",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
)


@dataclass(frozen=True)
class Done:
    """Content of a methods text beside settings.

    Attributes
    ----------
    preprocessing : str
        Name and version: ``fMRIPrep 22.0.0``.
    runs : sequence of mapping
        Rows of the tables of runs, of a participant or of all.
    n_participants : int
        Of the group; 0 where there is none.
    claims : sequence of mapping
        Rows of the table of claims of the folder.
    """

    preprocessing: str = "fMRIPrep"
    runs: Sequence[Mapping[str, str]] = ()
    n_participants: int = 0
    claims: Sequence[Mapping[str, str]] = ()


def participant_methods(
    settings: Mapping[str, Any], sidecar: Mapping[str, Any], done: Done = Done()
) -> CitedText:
    """Methods of a participant's maps.

    Parameters
    ----------
    settings : mapping
        Content of the participant's settings file.
    sidecar : mapping
        Sidecar of the accuracy map.
    done : Done

    Returns
    -------
    CitedText
        Paragraphs with numbered citations, and the references.
    """
    return number_citations(_participant_paragraphs(settings, sidecar, done))


def group_methods(
    settings: Mapping[str, Any],
    alignments: Sequence[Mapping[str, Any]],
    participant: Mapping[str, Any] | None = None,
    sidecar: Mapping[str, Any] | None = None,
    done: Done = Done(),
) -> CitedText:
    """Methods of both levels in one text.

    Parameters
    ----------
    settings : mapping
        Content of the group's settings file.
    alignments : sequence of mapping
        Group statistics of the alignment with each gradient; none where it was not computed.
    participant, sidecar : mapping, optional
        Settings file of a participant and sidecar of the accuracy map; without them the text is
        of the group level alone.
    done : Done
    """
    first: list[str] = []
    if participant:
        # The group has references of its own; whether one person had one says nothing of it.
        own = ("ReferenceMissing", "ReferenceVertices")
        shared = {key: value for key, value in participant.items() if key not in own}
        first = _participant_paragraphs(shared, sidecar or {}, done)
    return number_citations([*first, *_group_paragraphs(settings, alignments, done)])


def citation() -> CitedText:
    """The methods of the participant level in general terms, before anything is done."""
    return number_citations(_participant_paragraphs({}, {}))


def citation_files(text: CitedText) -> dict[str, str]:
    """Content of the ``CITATION`` files, by extension."""
    told = (
        "# How to describe and cite this analysis\n\nThe text may be copied into a paper without"
        " change (CC0). `CITATION.bib` has the references.\n\n"
    )
    return {
        "md": told + text.markdown,
        "tex": text.latex,
        "html": text.html,
        "bib": text.bibtex,
    }


def boilerplate(
    participant: Mapping[str, Any],
    group: Mapping[str, Any],
    alignments: Sequence[Mapping[str, Any]],
) -> str:
    """Methods of both levels and the references, as Markdown.

    Parameters
    ----------
    participant, group : mapping
        ``Settings``, and for the participant ``Features``, as in the settings files; what is not
        there is described in general terms.
    alignments : sequence of mapping
        As for `group_methods`.
    """
    paragraphs = [*_participant_paragraphs(participant, {}), *_group_paragraphs(group, alignments)]
    return number_citations(paragraphs).markdown


def _participant_paragraphs(
    content: Mapping[str, Any], sidecar: Mapping[str, Any], done: Done = Done()
) -> list[str]:
    settings = content.get("Settings", {})
    return [
        INTRODUCTION.format(preprocessing=done.preprocessing, surface=_surface(settings)),
        _features_paragraph(settings, content.get("Features", {})),
        _responses_paragraph(settings) + _runs_sentence(done.runs),
        _encoding_paragraph(settings, sidecar),
        _null_paragraph(settings),
        _preference_paragraph(content),
    ]


def _surface(settings: Mapping[str, Any]) -> str:
    """The template, by its reference; that of the default where nothing says."""
    row = MESHES.get(str(settings.get("space")))
    return _SURFACES[row.template if row else FSAVERAGE]


def _runs_sentence(runs: Sequence[Mapping[str, str]]) -> str:
    """How many volumes and confound regressors the runs have."""
    if not runs:
        return ""
    counts = {
        name: _span([row.get(name, "") for row in runs])
        for name in ("n_volumes", "n_volumes_with_music", "n_confounds")
    }
    which = "The run" if len(runs) == 1 else f"The {len(runs)} runs"
    return (
        f" {which} had {counts['n_volumes']} volumes, {counts['n_volumes_with_music']} of them with"
        f" music, and {counts['n_confounds']} confound regressors."
    )


def _span(values: Sequence[str]) -> str:
    """One number, or the smallest and the largest."""
    known = sorted(int(float(value)) for value in values if value not in ("", "n/a"))
    if not known:
        return "n/a"
    return str(known[0]) if known[0] == known[-1] else f"{known[0]} to {known[-1]}"


def _features_paragraph(settings: Mapping[str, Any], features: Mapping[str, Any]) -> str:
    hop = f" every {settings['hop']:g} s" if "hop" in settings else ""
    clock = f"in patches of 0.96 s{hop} of the monaural sound at 16 kHz"
    untrained = (
        f" The network was not trained (weights drawn at random, {features.get('Weights')}), as a"
        " control."
        if features.get("Untrained")
        else ""
    )
    space = recorded_space(str(features.get("Features", DEFAULT_FEATURES)))
    space = space or SPACES["precomputed"]  # a record of a space that this version does not have
    if space.step is not None:
        clock = f"averaged over steps of {space.step:g} s"
    layers = tuple(settings.get("layers") or space.layers)
    whole = layers == space.layers
    which = f"all {len(layers)} layers" if whole else f"layers {', '.join(layers)}"
    what = space.sentence.format(layers=which, name=features.get("Features", space.name))
    if corpus := features.get("Corpus"):
        clock += f"; other music that the models knew was {corpus}"
    return (
        f"Stimulus features were {what}, {clock}. All units were kept and z-scored within each"
        " stimulus; they enter the model through one kernel (Gram) matrix per layer, averaged over"
        " the repetition time around the"
        f" sampling time of every volume and filtered as the responses.{untrained}"
    )


def _denoised_paragraph(settings: Mapping[str, Any], filtered: Mapping[str, Any]) -> str:
    """Responses that were denoised before."""
    width = settings.get("smoothing")
    smoothed = (
        f" Responses were smoothed along the surface ({width:g} mm full width at half maximum)."
        if width
        else ""
    )
    drift = (
        f" Slow drifts (discrete cosine basis with a cutoff of {filtered['high_pass']:g} s) were"
        " regressed out beside it."
        if filtered.get("high_pass")
        else ""
    )
    return (
        "The series had been denoised before (XCP-D): no confounds were regressed out again."
        f" They had been filtered ({Band.of(filtered)}); features of the music were filtered alike."
        f"{drift} Volumes that had been censored were left out of responses and features by their"
        f" times.{smoothed}"
    )


def _responses_paragraph(settings: Mapping[str, Any]) -> str:
    confounds = settings.get("confounds")
    cutoff = settings.get("high_pass")
    if isinstance(cutoff, Mapping):
        return _denoised_paragraph(settings, cutoff)
    names = f" ({confounds})" if confounds else ""
    drift = f" with a cutoff of {cutoff:g} s" if cutoff is not None else ""
    slow = f", and slow drifts (discrete cosine basis{drift}) were" if cutoff != 0 else ", were"
    line = (
        " No high-pass filter was used: a linear trend was removed from responses and features of"
        " every presentation, and slower changes that music and scanner have in common are not"
        " controlled."
        if cutoff == 0
        else ""
    )
    width = settings.get("smoothing")
    smoothed = (
        f" Responses were smoothed along the surface ({width:g} mm full width at half maximum)."
        if width
        else ""
    )
    return (
        f"Confounds{names} as estimated by fMRIPrep [@esteban2019], which may include anatomical"
        f" CompCor components [@behzadi2007]{slow}"
        f" removed from every vertex in one projection.{_cortex_sentence(settings)}{smoothed} Only"
        f" volumes acquired while music played entered the model.{line}"
    )


def _cortex_sentence(settings: Mapping[str, Any]) -> str:
    """Which vertices took part; nothing where the settings do not say."""
    mask = settings.get("cortex_mask")
    name = mask.get("Name") if isinstance(mask, Mapping) else mask
    if not name:
        return ""
    return {
        BUNDLED_CORTEX: " The medial wall (vertices off the flattened fsaverage5 surfaces that"
        " nilearn ships, or near a cortical thickness of zero) was left out before that.",
        TEMPLATE_CORTEX: " The medial wall of the template's own labels was left out before that.",
        SIGNAL_CORTEX: " Every vertex with a signal took part, on the medial wall too.",
    }.get(str(name), " Vertices outside a cortex mask that was given were left out before that.")


def _encoding_paragraph(settings: Mapping[str, Any], sidecar: Mapping[str, Any]) -> str:
    delays, crop, alphas = (settings.get(name) for name in ("delays", "crop", "alphas"))
    tr = sidecar.get("RepetitionTime")
    held_out = sidecar.get("HeldOutStimuli")
    span = f" from {delays[0]:g} to {delays[1]:g} s" if delays else ""
    spacing = f" in steps of the repetition time ({tr:g} s)" if tr else ""
    ends = f"; {crop:g} s at both ends of each stimulus were left out" if crop is not None else ""
    grid = f" ({len(alphas)} values from {alphas[0]:g} to {alphas[-1]:g})" if alphas else ""
    names = f" ({', '.join(held_out)})" if held_out else ""
    groups = any("+" in name for name in held_out or ())
    pieces = any("[" in name for name in held_out or ())
    one = "a group of stimuli" if groups else "one contiguous piece" if pieces else "one stimulus"
    whole = "the rest of the only stimulus" if pieces else "the others"
    return (
        "For every layer, responses of each vertex were predicted by kernel ridge regression"
        f" [@hoerl1970] from the features at delays{span}{spacing}{ends}. In turn,"
        f" {one} was left out{names} to test a model fitted to {whole}; the penalty{grid} was"
        " chosen per vertex by leaving out parts of the training data only. Accuracy is the Pearson"
        " correlation of predicted and measured responses, averaged over held-out stimuli after"
        " Fisher's z-transform."
    )


def _null_paragraph(settings: Mapping[str, Any]) -> str:
    kind = settings.get("null")
    if kind == "none":
        return "No null distribution was computed."
    tests = (
        " P-values are one-sided; the false discovery rate over vertices was controlled per layer"
        " [@benjamini1995]."
    )
    if kind == "noise":
        return (
            "Accuracies were compared with those of noise of each vertex' own kind: an"
            " autoregressive process of second order or fractional noise, plus white noise,"
            " filtered as the responses were. Of a grid of such processes each counted by its"
            " posterior probability at the vertex (restricted likelihood; prior from all vertices),"
            " corrected by the ratio of observed to expected spectrum."
            " Its standard deviation was computed to first order and scaled by that of simulated"
            f" noise, to which the models were fitted anew.{tests}"
        )
    how = {
        "analytic": " The standard deviation of this null was computed in closed form.",
        "phase": " The null was sampled by refitting at the chosen penalties, and widened"
        " as refits that choose penalties again are.",
    }.get(str(kind), "")
    return (
        "Accuracies were compared with those of responses whose Fourier phases were rotated at"
        " random, with one set of phases for all vertices and layers [@prichard1994], which keeps"
        f" their spectrum and their correlations.{how}{tests}"
    )


def _preference_paragraph(content: Mapping[str, Any]) -> str:
    if reason := content.get("LayerPreferenceMissing"):
        return f"Layer preference was not computed: {str(reason).rstrip('.')}."
    if reason := content.get("ReferenceMissing"):
        return f"The residual slope was not computed: {str(reason).rstrip('.')}."
    count = content.get("ReferenceVertices")
    vertices = f" ({count} vertices)" if count else ""
    linear = content.get("Settings", {}).get("slope_model") == "linear"
    regressors = (
        "a constant and a reference profile"
        if linear
        else "a constant, a reference profile and the square of depth made orthogonal to depth"
        " (curvature)"
    )
    return (
        "Layer preference is the residual slope: a vertex's accuracy profile over layers was"
        f" regressed on {regressors}, and the slope of the residual on depth"
        " (first layer 0, last layer 1) was taken. The reference is the mean profile of vertices"
        f" whose layer-averaged accuracy was significant{vertices}. Unlike the best layer, this"
        " measure does not follow the accuracy itself."
    )


def _group_paragraphs(
    content: Mapping[str, Any],
    alignments: Sequence[Mapping[str, Any]],
    done: Done = Done(),
) -> list[str]:
    who = f"Fisher-z accuracies of {done.n_participants} participants"
    if not done.n_participants:
        who = "participants' Fisher-z accuracies"
    n_permutations = content.get("Settings", {}).get("n_permutations")
    flips = f" (up to {n_permutations}; all when fewer exist)" if n_permutations else ""
    slopes, which = "", "accuracies"
    if not content.get("LayerPreferenceMissing"):
        slopes = (
            "; residual slopes, with a group reference profile that leaves the participant out, by"
            " two-sided ones"
        )
        which = "accuracies, slopes and alignments"
    return [
        f"At the group level, {who} were tested against zero by"
        f" one-sided sign flips{flips}, corrected for the maximum over layers and vertices"
        f" [@nichols2002]{slopes}. Since everybody heard the same music, {which}"
        " were also tested, where cleaned responses had been kept, against"
        " responses whose Fourier phases were rotated alike in all participants. The standard"
        " deviation of this null was computed in closed form and widened by its ratio to that of"
        " refits, or drawn by refits where it fell short of theirs, and widened for series that"
        " end. This tests against chance agreement with the time courses of these pieces, and says"
        " nothing of other pieces. A layer predicts a vertex where both tests pass."
        " P-values of drawn permutations count the observed value as"
        " one draw [@phipson2010].",
        *([_alignment_paragraph(alignments)] if alignments else []),
        *_people_paragraph(done.claims),
    ]


def _people_paragraph(claims: Sequence[Mapping[str, str]]) -> list[str]:
    """Which test over people decided which claims of this folder."""
    tested: dict[str, list[str]] = {}
    for row in claims:
        if test := row.get("test_people", ""):
            tested.setdefault(test, []).append(_kind_of(row))
    if not tested:
        return []
    told = [f"{_and(list(dict.fromkeys(kinds)))} by {test}" for test, kinds in tested.items()]
    return [f"Over participants, claims were tested as follows: {'; '.join(told)}."]


def _kind_of(row: Mapping[str, str]) -> str:
    if row["primary"] == "True":
        return "the primary claim (residual slope of the trained network, principal gradient)"
    where = "at vertices" if row["measure"].endswith(", vertices") else "of means"
    return {
        "predicted": "accuracy",
        "aligned": "alignments of slopes and curvature",
        "along": "layers along a gradient",
        "differs": f"differences {where}",
        "follows": "lags",
    }[row["kind"]]


def _alignment_paragraph(alignments: Sequence[Mapping[str, Any]]) -> str:
    spins = _distinct([str(one["n_spins"]) for one in alignments if "n_spins" in one])
    kinds = [str(one.get("method", "spearman")).capitalize() for one in alignments]
    whole = any(one.get("mask") == "cortex" for one in alignments)
    where = (
        ", over the whole cortex since too few vertices were significant"
        if whole
        else " within vertices whose layer-averaged accuracy is significant over people and music"
    )
    several = len(alignments) > 1
    each = (
        f" {len(alignments)} gradients were tested; p-values of all alignments but a primary one"
        " are corrected together by the largest absolute z over shared flips, phases and rotations."
        if several
        else ""
    )
    return (
        f"Alignment with {_gradients_text(alignments)} is the"
        f" {_distinct(kinds)} correlation of a participant's residual slope with"
        f" {'each' if several else 'the'} gradient{where}, averaged over participants"
        " after Fisher's z-transform. Its two-sided p-value comes from rotating the gradient on"
        f" the sphere by {f'{spins} ' if spins else ''}random rotations"
        " [@alexanderbloch2018; @markello2021], mirrored between hemispheres, while maps and mask"
        " stay in place. Alignment is claimed only where this test, the one of the partial"
        " correlation given accuracy, the test over participants and the test over music all"
        f" pass with one sign.{each}"
    )


def _gradients_text(alignments: Sequence[Mapping[str, Any]]) -> str:
    """Which gradients, from their records; the principal one where there is none."""
    records = [one.get("gradient") for one in alignments]
    named = [record if isinstance(record, Mapping) else {} for record in records]
    names = [str(record.get("Name", FIRST_GRADIENT)) for record in named]
    which = [_ORDINALS[int(name[-2:]) - 1] for name in names if name in GRADIENTS]
    files = [
        "the gradient of the study's own resting runs (diffusion map of their mean connectivity)"
        if "MadeFrom" in record or name == OWN_GRADIENT
        else f"a gradient given as a file{f' ({label})' if (label := record.get('Label')) else ''}"
        for record, name in zip(named, names, strict=True)
        if name not in GRADIENTS
    ]
    order = _and(which)
    fetched = [
        f"the {order} gradient of functional connectivity [@margulies2016], taken"
        " from neuromaps [@markello2022],"
    ]
    return " and ".join([*(fetched if which else []), *files])


def _distinct(values: Sequence[str]) -> str:
    return " or ".join(dict.fromkeys(values))


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
