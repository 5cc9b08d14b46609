"""The analyses of a participant in the order of the page, their outputs and total costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bids_app.analyses.conditions.plan import ConditionPlan
from bids_app.analyses.conditions.write import CONTRAST, INTERACTION, LAGS
from bids_app.analyses.participant.analysis import ParticipantAnalysis, Scope
from bids_app.analyses.participant.joint import BEYOND, JOINT
from bids_app.analyses.participant.joint_models import Source
from bids_app.analyses.participant.lag_maps import LAG_SCAN
from bids_app.analyses.participant.lag_plan import lag_features
from bids_app.analyses.participant.plan import fitted_layers
from bids_app.analyses.participant.rest_plan import RestPlan
from bids_app.analyses.participant.rest_runs import REST
from bids_app.analyses.participant.write import ENCODING, RESPONSES
from bids_app.analyses.ratings.plan import StudyRatings
from bids_app.analyses.ratings.write import BRAIN, PREDICTION, SCORES
from bids_app.config import Config
from bids_app.features.layers import FittedLayers
from bids_app.features.registry import find_space
from bids_app.inputs.estimate import Estimate, add_up, feature_memory
from bids_app.inputs.records import StudyPlan
from bids_app.outputs import OutputTree
from bids_app.report import stimulus_figure_path
from bids_app.report.stimuli import vector_file

ANALYSES: tuple[ParticipantAnalysis, ...] = (
    RESPONSES,
    ENCODING,
    BEYOND,
    JOINT,
    LAG_SCAN,
    CONTRAST,
    INTERACTION,
    LAGS,
    BRAIN,
    PREDICTION,
    SCORES,
    REST,
)


@dataclass(frozen=True)
class ParticipantLevel:
    """What a call would do, before any work.

    Attributes
    ----------
    config : Config
    scopes : sequence of Scope
        One per participant.
    layers : mapping from model label to FittedLayers
    joint : mapping from label of a joint model to the names of its spaces
    """

    config: Config
    scopes: Sequence[Scope]
    layers: Mapping[str, FittedLayers]
    joint: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: Config,
        plan: StudyPlan | None = None,
        ratings: StudyRatings | None = None,
        conditions: ConditionPlan | None = None,
        rest: RestPlan | None = None,
    ) -> ParticipantLevel:
        """What is known of everybody from the plans of music, ratings, conditions and rest."""
        people = {p for some in (plan, conditions, rest) if some for p in some.participants}
        stimuli = plan.stimuli if plan else ()
        durations = {s.label: s.duration for s in stimuli}
        scopes = []
        for who in sorted(people):
            music = [run for run in plan.runs if run.participant == who] if plan else []
            scope = Scope(config, who, music=music, durations=durations)
            if conditions and who in conditions.participants:
                trials = conditions.runs_of(who)
                scope = replace(scope, trials=trials, contrasts=tuple(conditions.contrasts))
            if rest:
                scope = replace(scope, rest=rest.runs_of(who))
            if ratings:
                pairs = [(heard, scale) for heard in scope.heard for scale in ratings.scales]
                rated = {pair for pair in pairs if ratings.ratings.find(who, *pair) is not None}
                scope = replace(scope, scales=ratings.scales if rated else (), rated=rated)
            scopes.append(scope)
        paths = {s.label: s.path for s in stimuli}
        layers = fitted_layers(config, paths) if plan else {}
        joint = {
            label: [Source.of(*one, config, paths).name for one in spaces]
            for label, spaces in (config.joint.models if plan else {}).items()
        }
        return cls(config, scopes, layers, joint)

    def done_for(self, scope: Scope) -> Iterator[tuple[ParticipantAnalysis, Scope]]:
        """Every analysis of a participant; those of feature spaces once for each."""
        for analysis in ANALYSES:
            if not analysis.needed(scope):
                continue
            if analysis.of_spaces:
                for label, fitted in self.layers.items():
                    own = replace(scope, model=label, layers=fitted.names, depth=fitted.depth)
                    if analysis.needed(own):
                        yield analysis, own
            elif analysis.joint:
                for label, names in self.joint.items():
                    yield analysis, replace(scope, model=label, layers=names)
            elif analysis is LAG_SCAN:
                for feature in lag_features(self.config):
                    own = replace(scope, feature=feature.label)
                    yield replace(analysis, desc=feature.label), own
            else:
                yield analysis, scope

    def outputs(self, scope: Scope) -> list[Path]:
        """Every file that a participant gets, besides sidecars."""
        tree, who = OutputTree(self.config.output_dir), scope.participant
        found: list[Path] = []
        for analysis, own in self.done_for(scope):
            found += [*analysis.outputs(own), *analysis.closing(own)]
        drawn = [stimulus_figure_path(tree.root, who, label) for label in scope.heard]
        found += [path for one in drawn for path in (one, vector_file(one))]
        pages = [tree.explorer(model, who) for model in self.layers if scope.music]
        return list(dict.fromkeys([*found, *pages, tree.participant_report(who)]))

    def is_there(self, scope: Scope) -> bool:
        """Whether the files that mark completion are there."""
        marks = [path for row, own in self.done_for(scope) for path in row.closing(own)]
        return all(path.is_file() for path in marks)

    def costs(self) -> Estimate:
        """What everybody's analyses take."""
        people = [[row.full_cost(own) for row, own in self.done_for(who)] for who in self.scopes]
        spaces = [find_space(own.features) for own in self.config.model.spaces]
        network = any(space.is_network for space in spaces)
        features = feature_memory(network=network) if self.layers else 0.0
        return add_up(people, self.config.running.n_procs, feature_memory=features)


def ignored_suffixes() -> list[str]:
    """Ends of file names that the BIDS validator does not know."""
    return sorted({suffix for analysis in ANALYSES for suffix in analysis.suffixes})
