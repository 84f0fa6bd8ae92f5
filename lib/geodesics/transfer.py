"""The transfer experiment: pretrain one student on each arm's data, give it a new last layer, tune it on few shots, test it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from lib.devices import pick_device
from lib.geodesics.arms import NEAREST, label_width, pretraining_sets, stacked_sets
from lib.geodesics.hull import Hull, build_hull, hull_of_maps
from lib.geodesics.neural_map import NeuralSettings, neural_maps
from lib.geodesics.tasks import TASKS, Episode, draw_episode, evaluation_set, nearest_labels
from lib.nets import MLP, Params
from lib.population import Hyperparameters, Population, evaluate, train
from lib.seeds import Seeds
from lib.transport.dataset_distance import Settings
from lib.transport.geodesics import SoftCloud
from lib.transport.labels import LabelledData
from lib.transport.weights import simplex_grid

Mapped = Callable[[Callable[[int], Any], Iterable[int]], Iterable[Any]]


@dataclass(frozen=True)
class Setup:
    """What fixes a transfer experiment; the fields are those of the study's schema with the same names.

    `task`: a name in TASKS. `shots`: labelled target images of each class. `pool_size`: target images without labels.
    `source_size`: images of each source, at most. `lam_x`, `lam_y`, `label_method`: of the labelled distance. `projection`:
    barycentric or hard. `neural`: whether neural maps make an arm too, trained for `neural_steps`. `width`, `depth`: hidden
    units and hidden layers of the student. `steps`, `batch_size`, `rate`: pretraining by Adam. `tune_steps`, `tune_rate`:
    fine-tuning of all layers. `segments`: of the simplex grid; 0 leaves it out. `repeats`: draws of the task.
    `members_at_once`: students in one batch. `part`: the target images to score on, test, or validation for whoever chooses
    settings.
    """

    task: str
    shots: int
    pool_size: int
    source_size: int
    lam_x: float
    lam_y: float
    label_method: str
    projection: str
    neural: bool
    neural_steps: int
    width: int
    depth: int
    steps: int
    batch_size: int
    rate: float
    tune_steps: int
    tune_rate: float
    segments: int
    repeats: int
    members_at_once: int
    part: str
    device: str

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Setup":
        """Pick the fields of a setup out of a study's parameters. ValueError for an unknown task.

        The device auto is decided here, once, so that repeats that run elsewhere run on the same kind of device.
        """
        if params["task"] not in TASKS:
            raise ValueError(f"task: got {params['task']!r}, allowed are {', '.join(TASKS)}")
        given = {field.name: params[field.name] for field in fields(cls)}
        return cls(**given | ({"device": pick_device("auto").type} if given["device"] == "auto" else {}))

    @property
    def settings(self) -> Settings:
        """Of the labelled distance."""
        return Settings(self.lam_x, self.lam_y, self.label_method)


@dataclass(frozen=True, eq=False)
class Trial:
    """One repeat before any training: what was drawn, the hull(s), the data of every arm, and the grid of weights (float64)."""

    episode: Episode
    hull: Hull
    neural: Hull | None
    arms: Mapping[str, SoftCloud]
    grid: Float[Tensor, "G m"]

    @property
    def sets(self) -> list[SoftCloud]:
        """The arms' data, then those of the grid."""
        return [*self.arms.values(), *(self.hull.at(weights) for weights in self.grid.to(self.hull.metric.linear))]


@dataclass(frozen=True, eq=False)
class Transfer:
    """`arms`: one row for each repeat and arm, `accuracy` in % of the test images. `grid`: one row for each repeat and grid
    point, `a1`.. the weights, `distance` predicted, `accuracy` in %. `trials`: the repeats themselves, for figures.
    """

    arms: pd.DataFrame
    grid: pd.DataFrame
    trials: tuple[Trial, ...]


def run_transfer(setup: Setup, seeds: Seeds, mapped: Mapped = map) -> Transfer:
    """The whole experiment: in every repeat all students of all arms as one population, then one look at the test set.

    Every student takes the same number of steps of the same size from the same start (one start a repeat), the few-shot
    arm too: it is pretrained on its few shots. `mapped(function, repeats)` computes the repeats, such as on a cluster.
    Errors: ValueError as the pieces raise; RuntimeError naming the student whose training diverged.
    """
    found = list(mapped(partial(run_repeat, setup=setup, seeds=seeds), range(setup.repeats)))
    arms, grid = (pd.concat([getattr(one, name) for one in found], ignore_index=True) for name in ("arms", "grid"))
    return Transfer(arms, grid, tuple(trial for one in found for trial in one.trials))


def run_repeat(repeat: int, setup: Setup, seeds: Seeds) -> Transfer:
    """One repeat. It depends on its arguments alone, so repeats may be computed in any order and in any process."""
    device, root = pick_device(setup.device), seeds.child("repeat", repeat)
    trial = make_trial(setup, root, device)
    first = _sound(pretrained(setup, trial, root), trial, "pretraining")
    last = _sound(tuned(setup, trial, first.params, root), trial, "fine-tuning")
    test = evaluation_set(TASKS[setup.task], setup.part, device)
    correct = evaluate(_student_net(setup, trial, test.classes), last.params, test.features.float(), test.labels)
    accuracy = 100 * correct.double().cpu() / len(test.labels)
    grid = _grid_rows(repeat, trial, accuracy[len(trial.arms) :])
    return Transfer(_arm_rows(repeat, trial, accuracy, test), grid, (trial,))


def drawn_episode(setup: Setup, seeds: Seeds, device: torch.device) -> Episode:
    """The task as the repeat that `seeds` belong to sees it."""
    sizes = {name: getattr(setup, name) for name in ("shots", "pool_size", "source_size")}
    return draw_episode(TASKS[setup.task], seeds.child("data"), **sizes, device=device)


def make_trial(setup: Setup, seeds: Seeds, device: torch.device) -> Trial:
    """Draw the task once, build its hull (and the neural one), and lay out the arms. No test image is read."""
    episode = drawn_episode(setup, seeds, device)
    base, sources = episode.base, list(episode.sources.values())
    hull = build_hull(base, sources, setup.settings, method=setup.projection)
    neural = None
    if setup.neural:
        how = NeuralSettings(steps=setup.neural_steps)
        maps = neural_maps(base, sources, hull.table, setup.settings, how, seeds=seeds.child("neural"))
        neural = hull_of_maps(hull.base, hull.sources, maps, hull.table, hull.distances, setup.settings)
    grid = simplex_grid(len(sources), setup.segments) if setup.segments else torch.empty(0, len(sources), dtype=torch.float64)
    return Trial(episode, hull, neural, pretraining_sets(episode, hull, seeds, neural), grid)


def pretrained(setup: Setup, trial: Trial, seeds: Seeds) -> Population:
    """One student for each set, trained on soft labels over the union of label sets."""
    net = _student_net(setup, trial, width := label_width(trial.arms))
    x, y, bags = stacked_sets(trial.sets, width)
    return train(
        net, _on(x.device, net.init(seeds.child("start"))), x, y,
        members=len(bags), steps=setup.steps, batch_size=setup.batch_size, hyper=Hyperparameters(lr=setup.rate),
        seeds=seeds.child("pretraining"), subsets=bags, members_at_once=setup.members_at_once,
    )  # fmt: skip


def tuned(setup: Setup, trial: Trial, params: Params, seeds: Seeds) -> Population:
    """The same students with a fresh last layer for the target's classes, all layers tuned on the few shots."""
    few, members = trial.episode.few, len(trial.sets)
    net, x, hyper = _student_net(setup, trial, few.classes), few.features.float(), Hyperparameters(lr=setup.tune_rate)
    fresh = _on(x.device, net.init(seeds.child("head")))
    head = {name: fresh[name].expand(members, *fresh[name].shape) for name in fresh if name.startswith(f"layer{setup.depth}.")}
    return train(
        net, params | head, x, few.labels,
        members=members, steps=setup.tune_steps, batch_size=min(setup.batch_size, len(x)), hyper=hyper,
        seeds=seeds.child("tuning"), members_at_once=setup.members_at_once,
    )  # fmt: skip


def _student_net(setup: Setup, trial: Trial, outputs: int) -> MLP:
    return MLP((trial.episode.few.features.shape[1], *[setup.width] * setup.depth, outputs))


def _on(device: torch.device, params: Params) -> Params:
    return {name: value.to(device) for name, value in params.items()}


def _sound(population: Population, trial: Trial, phase: str) -> Population:
    """The population, if all of it converged; RuntimeError naming the first student that did not."""
    if population.diverged.any():
        names = [*trial.arms, *(f"grid point {g}" for g in range(len(trial.grid)))]
        name = names[int(population.diverged.int().argmax())]
        raise RuntimeError(f"{phase}: student {name!r} diverged; lower rate or tune_rate")
    return population


def _arm_rows(repeat: int, trial: Trial, accuracy: Float[Tensor, "S"], test: LabelledData) -> pd.DataFrame:
    """Accuracies of the arms, and of 1-NN, which trains nothing."""
    nearest = (nearest_labels(test.features, trial.episode.few) == test.labels).double().mean().item()
    found = dict(zip(trial.arms, accuracy.tolist(), strict=False)) | {NEAREST: 100 * nearest}
    return pd.DataFrame({"repeat": repeat, "arm": list(found), "accuracy": list(found.values())})


def _grid_rows(repeat: int, trial: Trial, accuracy: Float[Tensor, "G"]) -> pd.DataFrame:
    weights = {f"a{i + 1}": trial.grid[:, i].tolist() for i in range(trial.grid.shape[1])}
    distance = trial.hull.metric.distance(trial.grid.to(trial.hull.metric.linear)).tolist()
    return pd.DataFrame({"repeat": repeat, **weights, "distance": distance, "accuracy": accuracy.tolist()})
