"""The step of joint models of a participant: what it holds at a time."""

from __future__ import annotations

import weakref
from types import SimpleNamespace

import numpy as np
from joint_listeners import LENGTHS, Side

from bids_app.analyses.participant import joint
from bids_app.analyses.participant.joint_models import layer_weights, rival_weights
from bids_app.config import Cleaning, Model


def test_the_plan_of_a_layer_is_gone_before_the_next_is_made(monkeypatch):
    low = rival_weights(2, 8, seed=0)
    side = Side("envelope", "cochleagram", "one", "two", "three")
    job = SimpleNamespace(
        label="x",
        names=["envelope", "cochleagram"],
        sources=[SimpleNamespace(name=one, layer=one) for one in ("envelope", "cochleagram")],
        layers=["one", "two", "three"],
        weights=low,
        weights_beyond=layer_weights(low, 0),
    )
    rng = np.random.default_rng(0)
    blocks = [
        SimpleNamespace(
            stimulus=name,
            values=rng.standard_normal((n, 6)).astype(np.float32),
            times=np.arange(float(n)),
            tr=1.0,
            run=name,
        )
        for name, n in LENGTHS.items()
    ]
    plans, alive, made = [], [], joint.plan_joint

    def plan_joint(*args, **options):
        alive.append(sum(plan() is not None for plan in plans))
        plan = made(*args, **options)
        plans.append(weakref.ref(plan))
        return plan

    monkeypatch.setattr(joint, "StimulusSide", lambda *_: side)
    monkeypatch.setattr(joint, "plan_joint", plan_joint)
    grams = [SimpleNamespace(path=SimpleNamespace(name="x"))] * 3
    record, prepared = SimpleNamespace(participant="01"), SimpleNamespace(blocks=blocks)
    fits = joint.fit_joint_models(record, job, grams, prepared, Cleaning(), Model())
    assert fits.unique.shape == (3, 6)
    assert alive == [0, 1, 1, 1]  # low-level sound alone stays
