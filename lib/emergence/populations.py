"""Populations: many seeds of one recipe at each scale, trained as one tensor program and graded on the same exams [zhao2025]."""

from collections.abc import Callable, Iterable
from functools import partial
from math import cos, pi
from typing import Any

import pandas as pd
import torch

from lib.emergence.grading import grade
from lib.emergence.outcome import METRICS, Outcome, joined
from lib.emergence.setup import Setup
from lib.emergence.tasks import Rows
from lib.nets import Net, Params
from lib.population import Hyperparameters, Population, Progress, Schedule, predict, stack, train
from lib.seeds import Seeds

Mapped = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]
LAST = 20  # minibatches over which the final training loss is averaged
CLIP = 1.0


def run_scales(setup: Setup, seeds: Seeds, mapped: Mapped = map) -> Outcome:
    """All scales; `mapped(function, scales)` computes them, such as on a cluster."""
    return joined(mapped(partial(run_scale, setup=setup, seeds=seeds), setup.scales))


def run_scale(scale: int, setup: Setup, seeds: Seeds, progress: Progress | None = None) -> Outcome:
    """Train and grade one scale's population. It depends on its arguments alone, so scales may run anywhere, in any order.

    Seed k draws its start and its minibatches from `seeds.child("seed", k)`. At another scale the same number names another
    network: parameters have other shapes, so "the same seed at all scales" is a label and the order of the data, no more.
    """
    net, task = setup.net(scale), setup.make_task()
    rows = task.pack(setup.rows, seeds.child("rows"))
    population, steps = _trained(net, rows, setup.rate(scale), setup, seeds, progress)
    exams = {length: task.evaluation(length) for length in setup.lengths}
    tables = []
    for step in steps:
        for length, exam in exams.items():
            tables.append(_graded(net, population.snapshots[step], exam, population.diverged).assign(step=step, length=length))
    grades = pd.concat(tables, ignore_index=True).assign(scale=scale)
    losses = population.losses[-LAST:].double().mean(0).masked_fill(population.diverged, float("nan"))
    table = pd.DataFrame({"scale": scale, "seed": range(setup.members), "loss": losses.cpu().numpy()})
    return Outcome(grades[["scale", "seed", "step", "length", *METRICS]], table)


def warm_cosine(steps: int, warmup: float) -> Schedule:
    """The factor on the rate: up along a line over the share `warmup` of the steps, then down along half a cosine to 0."""
    first = max(1, round(warmup * steps))

    def factor(step: int) -> float:
        return (step + 1) / first if step < first else 0.5 * (1 + cos(pi * (step - first) / max(1, steps - first)))

    return factor


def checkpoint_steps(steps: int, checkpoints: int) -> tuple[int, ...]:
    """`checkpoints` step numbers in equal distances, the last of them `steps`."""
    return tuple(round(steps * (i + 1) / checkpoints) for i in range(checkpoints))


def _trained(
    net: Net, rows: Rows, rate: float, setup: Setup, seeds: Seeds, progress: Progress | None
) -> tuple[Population, tuple[int, ...]]:
    device, nodes = torch.device(setup.device), [seeds.child("seed", k) for k in range(setup.members)]
    starts = {name: value.to(device) for name, value in stack([net.init(node.child("start")) for node in nodes]).items()}
    steps = checkpoint_steps(setup.steps, setup.checkpoints)
    population = train(
        net, starts, rows.inputs.to(device), rows.targets.to(device),
        members=setup.members, steps=setup.steps, batch_size=setup.batch_size, seeds=nodes, optimiser="adamw",
        hyper=Hyperparameters(lr=rate, weight_decay=setup.weight_decay, clip=CLIP),
        schedule=warm_cosine(setup.steps, setup.warmup), snapshots=steps,
        members_at_once=setup.members_at_once, progress=progress,
    )  # fmt: skip
    return population, steps


def _graded(net: Net, params: Params, exam: Rows, diverged: torch.Tensor) -> pd.DataFrame:
    """seed, exact, token, nll; NaN for members that diverged, which `predict` would refuse."""
    sound = (~diverged).nonzero().flatten()
    table = pd.DataFrame({"seed": range(len(diverged))} | dict.fromkeys(METRICS, float("nan")))
    if len(sound):
        logits = predict(net, {name: value[sound] for name, value in params.items()}, exam.inputs.to(diverged.device))
        found = grade(logits, exam)
        for metric in METRICS:
            table.loc[sound.cpu().numpy(), metric] = getattr(found, metric).cpu().numpy()
    return table
