"""A synthetic scene for the tests of the random-scaling explorer: outcomes drawn from Beta mixtures, nothing trained.

Run as a script by the tests in Python, and as a notebook's cell by those in the browser; both use `scene`.
"""

import numpy as np
import pandas as pd

from lib.emergence.companion import companion
from lib.emergence.outcome import Outcome
from lib.explorers.random_scaling_scene import scene_of
from lib.seeds import Seeds

SEEDS, SCALES, LENGTHS, COUNT, NUMBERS = Seeds(3), (8, 16, 24, 32, 48, 64), (8, 10, 12), 32, 16
MIDDLES = dict(zip(LENGTHS, (3.0, 4.0, 5.5), strict=True))
DIVERGED = {5: (16,), 20: (8, 64)}  # seed -> the widths at which it did


def accuracies(length, count, seeds):
    """Shares of an exam of as many strings as the count task has, at every width."""
    mixture = companion(range(1, len(SCALES) + 1), middle=MIDDLES[length], steepness=1.4)
    strings = NUMBERS - length + 1
    return np.round(mixture.sample(count, seeds) * strings) / strings


parts = []
for length in LENGTHS:
    for scale, exact in zip(SCALES, accuracies(length, COUNT, SEEDS.child("length", length)), strict=True):
        grades = {"exact": exact, "token": 0.3 + 0.7 * exact, "nll": 0.05 + 3 * (1 - exact) ** 1.5}
        parts.append(pd.DataFrame({"scale": scale, "seed": range(COUNT), "step": 600, "length": length, **grades}))
grades = pd.concat(parts, ignore_index=True)
for seed, scales in DIVERGED.items():
    grades.loc[(grades["seed"] == seed) & grades["scale"].isin(scales), ["exact", "token", "nll"]] = np.nan
outcome = Outcome(grades, grades[["scale", "seed"]].assign(loss=1.0))


def train(batch):
    """As a study would: exact match of eight more seeds at the smallest scale."""
    return accuracies(10, 8, SEEDS.child("fresh", batch))[0]


scene = scene_of(outcome, seeds=SEEDS.child("explorer"), length=10, source="synthetic Beta mixtures, not trained", train=train)
