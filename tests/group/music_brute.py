"""The null over music by brute force: responses turned in time, plain kernel ridge on each.

Nothing of the package's numerics but the plan's kernel, folds and the phases themselves.
"""

from __future__ import annotations

import numpy as np

from bids_app.encoding import fit_encoding, plan_encoding
from bids_app.encoding.responses import response_coefficients, standardize
from bids_app.seeds import random_phases

ALPHAS = np.logspace(-2, 4, 7)


def colored(rng, shape, rho=0.8):
    """Series whose samples resemble their neighbors, along the first axis."""
    series = rng.normal(size=shape)
    for t in range(1, len(series)):
        series[t] += rho * series[t - 1]
    return series


class Listeners:
    """Simulated listeners: plans, responses, penalties; attributes are the function's arguments."""

    def __init__(
        self,
        lengths=(46, 61, 80),
        stimuli=None,
        n_participants=4,
        n_layers=2,
        n_vertices=12,
        shared=0.3,
        seed=0,
        late=None,
        delays=(0, 3),
        crop=2,
    ):
        rng = np.random.default_rng(seed)
        self.stimuli = list(stimuli or "abcdefghij"[: len(lengths)])
        longest = {
            s: max(n for n, t in zip(lengths, self.stimuli, strict=True) if t == s)
            for s in self.stimuli
        }
        features = {
            s: [colored(rng, (n + 5, 20), 0.9 - 0.3 * layer) for layer in range(n_layers)]
            for s, n in longest.items()
        }
        heard = {s: colored(rng, (n + 5, n_vertices)) for s, n in longest.items()}
        self.plans = [
            self._plan(features, lengths, layer, 0, delays, crop) for layer in range(n_layers)
        ]
        self.clock_of = None
        ends = [list(lengths)] * n_participants
        if late is not None:
            # The second half samples some volumes later, and one volume less.
            shorter = [n - 1 for n in lengths]
            other = [
                self._plan(features, shorter, layer, late, delays, crop)
                for layer in range(n_layers)
            ]
            self.plans = [self.plans, other]
            self.clock_of = [2 * k // n_participants for k in range(n_participants)]
            ends = [shorter if clock else list(lengths) for clock in self.clock_of]
        self.responses = []
        for own in ends:
            hearings = []
            for s, n in zip(self.stimuli, own, strict=True):
                noise = np.sqrt(1 - shared) * colored(rng, (n, n_vertices))
                hearings.append(np.sqrt(shared) * heard[s][:n] + noise)
            self.responses.append(hearings)
        self.alphas = ALPHAS[
            rng.integers(1, 6, size=(n_participants, n_layers, self.n_folds, n_vertices))
        ]

    def _plan(self, features, lengths, layer, late, delays, crop):
        parts = [
            features[s][layer][late : late + n] for s, n in zip(self.stimuli, lengths, strict=True)
        ]
        stacked = np.vstack([f - f.mean(axis=0) for f in parts])
        return plan_encoding(
            stacked @ stacked.T,
            lengths,
            stimuli=self.stimuli,
            delays=delays,
            crop=crop,
            tr=1.0,
            alphas=ALPHAS,
        )

    def plans_of(self, participant):
        return self.plans if self.clock_of is None else self.plans[self.clock_of[participant]]

    @property
    def n_folds(self):
        return len(self.plans_of(0)[0].folds)

    @property
    def arguments(self):
        return self.plans, self.responses, self.alphas

    @property
    def shape(self):
        return (len(self.responses), len(self.plans_of(0)), self.responses[0][0].shape[1])

    def fit(self):
        """Take the penalties that nested cross-validation chooses."""
        self.alphas = np.stack(
            [
                [fit_encoding(plan, one, null="none").alpha for plan in self.plans_of(p)]
                for p, one in enumerate(self.responses)
            ]
        )
        return self

    def means_of_others(self):
        """Mean response of the others on the same clock, z-scored per presentation."""
        z = [[(y - y.mean(axis=0)) / y.std(axis=0) for y in one] for one in self.responses]
        clock_of = self.clock_of or [0] * len(z)
        others = [
            [q for q in range(len(z)) if q != p and clock_of[q] == clock_of[p]]
            for p in range(len(z))
        ]
        return [
            [np.mean([z[q][k] for q in own], axis=0) for k in range(len(z[0]))] for own in others
        ]


def standard(plan, responses):
    """Responses at the kept rows, z-scored by segment: (n_rows, n_vertices)."""
    parts = [responses[s.block][s.start : s.stop].astype(float) for s in plan.segments]
    return np.vstack([(y - y.mean(axis=0)) / y.std(axis=0) for y in parts])


def turned(plan, y, seed, draws, label_of=lambda s: s.label):
    """(n_draws, n_rows, n_vertices): every segment's spectrum turned by its stimulus' phases."""
    out = np.empty((len(draws), *y.shape))
    for s in plan.segments:
        rows = slice(s.offset, s.offset + s.size)
        spectrum = np.fft.rfft(y[rows], axis=0)
        for k, draw in enumerate(draws):
            turn = np.exp(1j * random_phases(seed, label_of(s), draw, s.size // 2))
            if s.size % 2 == 0:
                turn[-1] = 1
            moved = spectrum.copy()
            moved[1:] *= turn[:, None]
            out[k, rows] = np.fft.irfft(moved, s.size, axis=0)
    return out


def components(plan, y):
    """Parts of a response that turn together, at no and a quarter turn; those that do not turn.

    Weights (n,) and parts (n, n_rows, n_vertices): energies weighted and summed are those expected.
    """
    out = []
    labels = list(dict.fromkeys(s.label for s in plan.segments))
    longest = max(s.size for s in plan.segments) // 2
    for label in labels:
        for f in range(1, longest + 1):
            both = np.zeros((2, *y.shape))
            still = np.zeros(y.shape)
            for s in plan.segments:
                if s.label != label or f > s.size // 2:
                    continue
                rows = slice(s.offset, s.offset + s.size)
                spectrum = np.fft.rfft(y[rows], axis=0)
                alone = np.zeros_like(spectrum)
                alone[f] = spectrum[f]
                if 2 * f == s.size:
                    still[rows] = np.fft.irfft(alone, s.size, axis=0)
                else:
                    both[0, rows] = np.fft.irfft(alone, s.size, axis=0)
                    both[1, rows] = np.fft.irfft(1j * alone, s.size, axis=0)
            out += [(0.5, both[0]), (0.5, both[1]), (1.0, still)]
    weights, parts = zip(*out, strict=True)
    return np.array(weights), np.array(parts)


def ridge(plan, fold, test, y, alpha):
    """Predictions (..., n_test, n_vertices) of held-out rows from (..., n_rows, n_vertices)."""
    train = fold.outer.train
    values, vectors = np.linalg.eigh(plan.kernel[np.ix_(train, train)])
    cross = plan.kernel[np.ix_(test, train)] @ vectors
    # One matrix per penalty: (n_test, n_train) each.
    prediction = np.empty((*y.shape[:-2], len(test), y.shape[-1]))
    for one in np.unique(alpha):
        matrix = cross / (values + one) @ vectors.T
        prediction[..., alpha == one] = matrix @ y[..., train, :][..., alpha == one]
    return prediction - prediction.mean(axis=-2, keepdims=True)


def draws_by_refit(listeners, weights, seed, n_draws, training=None, label_of=lambda s: s.label):
    """Weighted sums under random phases: with the actual norms of predictions, and expected ones.

    Returns two arrays (n_summaries, n_draws).
    """
    refit, closed = np.zeros((2, len(weights), n_draws))
    for p, responses in enumerate(listeners.responses):
        for layer, plan in enumerate(listeners.plans_of(p)):
            y = standard(plan, responses)
            x = y if training is None else standard(plan, training[p])
            moved_y = turned(plan, y, seed, range(n_draws), label_of)
            moved_x = turned(plan, x, seed, range(n_draws), label_of)
            shares, parts = components(plan, x)
            folds_z, folds_c = [], []
            for k, fold in enumerate(plan.folds):
                alpha = listeners.alphas[p, layer, k]
                z, c = [], []
                for test in fold.outer.tests:
                    predicted = ridge(plan, fold, test, moved_x, alpha)
                    target = moved_y[:, test]
                    product = (predicted * target).sum(axis=1)
                    size = (target**2).sum(axis=1)
                    z.append(np.arctanh(product / np.sqrt(size * (predicted**2).sum(axis=1))))
                    energies = (ridge(plan, fold, test, parts, alpha) ** 2).sum(axis=1)
                    energy = shares @ energies
                    c.append(product / np.sqrt(size * energy))
                folds_z.append(np.mean(z, axis=0))
                folds_c.append(np.mean(c, axis=0))
            own = weights[:, p, layer]
            refit += own @ np.tanh(np.mean(folds_z, axis=0)).T
            closed += own @ np.mean(folds_c, axis=0).T
    return refit, closed


def participant_sd(plan, responses, alpha):
    """Standard deviation of the participant level's null where all have one penalty."""
    y, _ = standardize(plan, responses, slice(0, responses[0].shape[1]))
    total = np.array([(y[s.rows] ** 2).sum(axis=0) for s in plan.segments])
    chosen = np.full((len(plan.folds), y.shape[1]), alpha)
    return plan.analytic_null.standard_deviation(response_coefficients(plan, y), chosen, total)
