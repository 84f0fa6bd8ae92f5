"""The scene of the random-scaling explorer, out of the study's own results."""

import numpy as np

from lib.emergence.outcome import METRICS, Outcome
from lib.emergence.statistics import SUCCESS
from lib.explorers.random_scaling_state import Scene, Train
from lib.seeds import Seeds


def scene_of(
    outcome: Outcome,
    *,
    seeds: Seeds,
    length: int,
    tau: float | int = SUCCESS,
    scale: str = "width",
    source: str = "trained here",
    train: Train | None = None,
) -> Scene:
    """The final grades of all seeds that are finite at every scale, at every exam length, in every metric.

    A seed that diverged at one scale has no curve: it is left out at all of them, and the explorer says so. `length`, `tau`: to
    begin with. `train` grades at `length`, such as `lib.explorers.random_scaling_fresh.fresh_seeds`. `scale`, `source`: what a
    scale is and where the seeds come from, in words.
    Errors: ValueError for fewer than two sound seeds, and as in `Scene.of`.
    """
    tables = {(metric, each): outcome.final(each, metric) for metric in METRICS for each in outcome.lengths}
    sound = np.all([np.isfinite(table) for table in tables.values()], axis=0)
    keep = sound.all(0)
    numbers = sorted(outcome.grades["seed"].unique().tolist())
    if keep.sum() < 2:
        raise ValueError(f"outcome: got {keep.sum()} of {len(keep)} seeds that are finite at every scale, allowed are 2 or more")
    gone = {numbers[k]: [outcome.scales[s] for s in np.flatnonzero(~sound[:, k])] for k in np.flatnonzero(~keep)}
    return Scene.of(
        {key: table[:, keep] for key, table in tables.items()}, outcome.scales, [numbers[k] for k in np.flatnonzero(keep)],
        seeds=seeds, length=length, tau=tau, left_out=gone, scale=scale, source=source, train=train,
    )  # fmt: skip
