"""The soft-label experiment: students of the same few images under every kind of label, and what in the labels teaches them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lib.distillation.labels import entropy, hard, smoothed, soften
from lib.distillation.learning import Comparison, compare_learned
from lib.distillation.lessons import Budget, Draw, images_of, truth_of, views_of
from lib.distillation.pool import Task, fingerprint, load_task
from lib.distillation.setup import Setup
from lib.distillation.structure import Lesson, structure_tables
from lib.distillation.students import Arm
from lib.distillation.tuning import tuned
from lib.seeds import Seeds

Mapped = Callable[[Callable[[Draw], Any], Iterable[Draw]], Iterable[Any]]
SMOOTHING = 0.1


@dataclass(frozen=True, eq=False)
class Labeller:
    """A way of labelling n images. `kind`: hard, smoothing, epoch (an expert's labels), rate (those of an expert at another
    rate), temperature (softened), ensemble (of all experts), cutmix (an expert's label for each CutMix view, in place of n), or
    of prototypes: "prototypes hard", "prototypes epoch".
    """

    name: str
    kind: str
    q: Float[Tensor, "n C"]
    expert_lr: float | None = None
    epoch: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """Tidy tables, one row for each draw, budget and arm; accuracies in % of the test images of all classes.

    `labellers`: arm, kind, expert_lr, epoch, temperature, lr (chosen), validation, test, entropy (nats, mean), argmax_error
    (% of images), images (fingerprint, or "prototypes", "cutmix"). `structure`, `swap`, `top`, `zero`, `selection`: as
    `lib.distillation.structure` says. `learned`, `nearness`: as `Comparison` says. What was left out is empty.
    `comparisons`: learned labels of each draw, for figures.
    """

    labellers: pd.DataFrame
    structure: pd.DataFrame
    swap: pd.DataFrame
    top: pd.DataFrame
    zero: pd.DataFrame
    selection: pd.DataFrame
    learned: pd.DataFrame
    nearness: pd.DataFrame
    comparisons: tuple[Comparison, ...]


def run_experiment(setup: Setup, draws: Iterable[Draw], seeds: Seeds, mapped: Mapped = map) -> Outcome:
    """All draws, with `seeds` as for `prepare`. `mapped(function, draws)` computes them, such as on a cluster."""
    return joined(mapped(partial(run_draw, setup=setup, seeds=seeds), draws))


def run_draw(draw: Draw, setup: Setup, seeds: Seeds) -> Outcome:
    """One draw: every arm's student takes as many steps on the same images from the same start; only labels differ.

    It depends on its arguments alone, so draws may be computed in any order and in any process. Rates and epochs are chosen
    on validation images; no choice sees a test image. Errors: RuntimeError naming the arm whose student diverged.
    """
    task = load_task(setup.task, train_size=setup.train_size or None, device=torch.device(setup.device))
    own = seeds.child("draw", draw.number)
    found = []
    for budget in draw.budgets:
        table = label_table(task, budget, setup, own)
        lesson = Lesson.of(task, budget, setup, own, table)
        learned = compare_learned(lesson) if setup.learned_steps and budget.ipc == setup.structure_ipcs[0] else None
        tables = {"labellers": table, **structure_tables(lesson, draw.subjects)}
        found.append(_outcome(tables, learned, draw.number, budget.ipc))
    return joined(found)


def joined(outcomes: Iterable[Outcome]) -> Outcome:
    """One outcome with the rows of all. ValueError for none."""
    found = list(outcomes)
    if not found:
        raise ValueError("outcomes: got none, allowed is one or more")
    names = [field.name for field in fields(Outcome) if field.name != "comparisons"]
    tables = {}
    for name in names:
        parts = [table for one in found if len(table := getattr(one, name))]
        tables[name] = pd.concat(parts, ignore_index=True) if parts else getattr(found[0], name)
    return Outcome(**tables, comparisons=tuple(comparison for one in found for comparison in one.comparisons))


def label_table(task: Task, budget: Budget, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """Students of one budget under every labeller: the columns of `Outcome.labellers` but draw and ipc."""
    truth = truth_of(task, budget.rows)
    pictures = {fingerprint(budget.rows): (images_of(task, budget.rows), labellers(budget, truth, setup))}
    if budget.prototypes is not None:
        pictures["prototypes"] = (budget.prototypes.to(task.x_train), prototype_labellers(budget, truth, setup))
    if budget.mixed_logits is not None:
        views = views_of(task, budget.rows, setup, seeds)
        pictures["cutmix"] = (views, _by_epoch("cutmix", budget.mixed_logits, setup, setup.main_lr))
    tables = []
    for images, (x, ways) in pictures.items():
        trained = tuned(task, x, [Arm(way.name, way.q) for way in ways], setup, seeds.child("students")).table(task)
        facts = pd.DataFrame([_facts(way, truth.repeat(len(x) // len(truth))) for way in ways])
        tables.append(trained.merge(facts, on="arm").assign(images=images))
    return pd.concat(tables, ignore_index=True)


def labellers(budget: Budget, truth: Int64[Tensor, "n"], setup: Setup) -> list[Labeller]:
    """All ways of labelling a draw's random images: hard, smoothed, by expert, epoch and temperature, and by all experts."""
    classes, main = budget.together.shape[-1], budget.own[setup.main_lr]
    ways = [Labeller("hard", "hard", hard(truth, classes))]
    ways.append(Labeller("smoothing", "smoothing", smoothed(truth, classes, SMOOTHING)))
    ways += _by_epoch("epoch", main, setup, setup.main_lr)
    for T in setup.temperatures:
        ways += _by_epoch("temperature", main, setup, setup.main_lr, T)
    for lr in setup.expert_lrs[:-1]:
        ways += _by_epoch("rate", budget.own[lr], setup, lr)
    return ways + _by_epoch("ensemble", budget.together, setup, setup.main_lr)


def prototype_labellers(budget: Budget, truth: Int64[Tensor, "n"], setup: Setup) -> list[Labeller]:
    """Hard labels and the own expert's labels of prototypes, which have as many images of each class as the random ones."""
    ways = [Labeller("prototypes hard", "prototypes hard", hard(truth, budget.together.shape[-1]))]
    return ways + _by_epoch("prototypes epoch", budget.prototype_logits, setup, setup.main_lr)


def chosen(table: pd.DataFrame, kind: str = "epoch") -> pd.DataFrame:
    """For each draw and budget, the row of `Outcome.labellers` of that kind that is best on validation; of equals the first.

    Its test accuracy is the honest one: no test image had a part in the choice. ValueError for a kind that is not there.
    """
    rows = table[table["kind"] == kind]
    if rows.empty:
        raise ValueError(f"kind: got {kind!r}, allowed are {', '.join(table['kind'].unique())}")
    return rows.loc[rows.groupby(["draw", "ipc"])["validation"].idxmax()].reset_index(drop=True)


def _by_epoch(
    kind: str, logits: Float[Tensor, "epochs n C"], setup: Setup, lr: float, temperature: float = 1.0
) -> list[Labeller]:
    """A labeller for each stored epoch."""
    detail = {"rate": f", expert rate {lr:g}", "temperature": f", T = {temperature:g}"}.get(kind, "")
    word = kind if kind in ("ensemble", "prototypes epoch", "cutmix") else "epoch"
    return [
        Labeller(f"{word} {epoch}{detail}", kind, soften(z, temperature), lr, epoch, temperature)
        for epoch, z in zip(setup.epochs, logits, strict=True)
    ]


def _facts(way: Labeller, truth: Int64[Tensor, "n"]) -> dict[str, Any]:
    wrong = 100 * (way.q.argmax(-1) != truth).double().mean().item()
    numbers = {"expert_lr": way.expert_lr, "epoch": way.epoch, "temperature": way.temperature}
    numbers = {name: float("nan") if value is None else float(value) for name, value in numbers.items()}
    return {"arm": way.name, "kind": way.kind, **numbers, "entropy": entropy(way.q).mean().item(), "argmax_error": wrong}


def _outcome(tables: Mapping[str, pd.DataFrame], learned: Comparison | None, draw: int, ipc: int) -> Outcome:
    """Every table with draw and budget in front."""
    both = {"learned": pd.DataFrame(), "nearness": pd.DataFrame()}
    tables = dict(tables) | (both if learned is None else {"learned": learned.table, "nearness": learned.nearness})
    for name, table in tables.items():
        if len(table):
            place = pd.DataFrame({"draw": draw, "ipc": ipc}, index=table.index)
            tables[name] = pd.concat([place, table], axis=1)
    return Outcome(**tables, comparisons=() if learned is None else (learned,))
