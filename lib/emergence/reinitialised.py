"""Language models that share a past: pretrained once, then for every seed re-initialised in their last attention layer and head,
and trained on with questions among the running text [zhao2025]. The share of questions is the scale.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64
from torch import Tensor

from lib.emergence.populations import CLIP, checkpoint_steps, warm_cosine
from lib.emergence.questions import FIRST_LETTER, Corpus, Exams, exams_of, letter_odds, mixture
from lib.emergence.text_setup import TextSetup
from lib.nets import Net, Params
from lib.population import Hyperparameters, Population, Progress, predict, stack, train
from lib.seeds import Seeds

Mapped = Callable[[Callable[[float], Any], Iterable[float]], Iterable[Any]]
TEXT_METRICS = ("accuracy", "nll", "lm")
BASE_LR, DECAY, WARMUP = 5e-3, 0.1, 0.05
FRESH = ("qkv.weight", "qkv.bias", "out.weight", "out.bias")  # of the last block: its attention


@dataclass(frozen=True, eq=False)
class Base:
    """The pretrained network: one network's `params`, its `accuracy`, `nll` and `lm` on held-out exams (as in TextOutcome)."""

    params: Params
    accuracy: float
    nll: float
    lm: float


@dataclass(frozen=True, eq=False)
class TextOutcome:
    """Tidy table `grades`: share, seed, step, `accuracy`: of held-out questions, by the likeliest of the four letters; `nll`: of
    the right one among the four, in nats; `lm`: language-model loss on held-out running text, in nats per sign. NaN for a seed
    whose training diverged.
    """

    grades: pd.DataFrame

    @property
    def shares(self) -> tuple[float, ...]:
        """Ascending."""
        return tuple(sorted(self.grades["share"].unique().tolist()))

    def final(self, metric: str = "accuracy") -> Float64[np.ndarray, "S K"]:
        """The metric after the last step: ascending shares by seeds. ValueError for an unknown metric."""
        return self._table(self.grades["step"] == self.grades["step"].max(), metric, "share")

    def curves(self, share: float, metric: str = "accuracy") -> Float64[np.ndarray, "C K"]:
        """The metric while training at one share: checkpoints by seeds. ValueError for a share or metric that is not there."""
        if share not in self.shares:
            raise ValueError(f"share: got {share}, allowed are {', '.join(map(str, self.shares))}")
        return self._table(self.grades["share"] == share, metric, "step")

    def _table(self, rows: pd.Series, metric: str, index: str) -> Float64[np.ndarray, "_ K"]:
        if metric not in TEXT_METRICS:
            raise ValueError(f"metric: got {metric!r}, allowed are {', '.join(TEXT_METRICS)}")
        return self.grades[rows].pivot(index=index, columns="seed", values=metric).to_numpy(np.float64)


def pretrain(setup: TextSetup, corpus: Corpus, seeds: Seeds, progress: Progress | None = None) -> Base:
    """One network, trained on questions alone and then on the mix: the paper's base models have read such questions as well.

    Give `run_shares` the same seeds: base and seeds are then graded on the same exams.
    Errors: ValueError where its training diverges.
    """
    net, device = setup.net(), torch.device(setup.device)
    params = {name: value.to(device) for name, value in net.init(seeds.child("start")).items()}
    for name, share, steps in (("questions", 1.0, setup.first_steps), ("mix", setup.base_share, setup.base_steps)):
        if steps == 0:
            continue
        rows = mixture(corpus, share, setup.pool, setup.passage, 1.0, seeds.child(name))
        population = train(
            net, params, rows.inputs.to(device), rows.targets.to(device), members=1, steps=steps, batch_size=setup.base_rows,
            hyper=Hyperparameters(lr=BASE_LR, weight_decay=DECAY, clip=CLIP), seeds=seeds.child(name), optimiser="adamw",
            schedule=warm_cosine(steps, WARMUP), progress=progress,
        )  # fmt: skip
        if population.diverged.any():
            raise ValueError(
                f"pretraining: diverged on {name} at step {int(population.diverged_at[0])}, allowed are finite losses"
            )
        params = {key: value[0] for key, value in population.params.items()}
    found = _measured(net, {key: value[None] for key, value in params.items()}, _exams(setup, corpus, seeds))
    return Base(params, *(float(found[name][0]) for name in TEXT_METRICS))


def fresh_names(setup: TextSetup) -> frozenset[str]:
    """The parameters that every seed draws anew."""
    return frozenset({f"block{setup.layers - 1}.{part}" for part in FRESH} | {"head.weight"})


def reinitialised(setup: TextSetup, base: Params, nodes: Iterable[Seeds]) -> Params:
    """Stacked copies of the base, [K, ...], each with `fresh_names` from its own `node.child("start")`, all else equal."""
    net, fresh = setup.net(), fresh_names(setup)
    starts = stack([net.init(node.child("start")) for node in nodes])
    return {
        name: start.to(base[name]) if name in fresh else base[name].expand_as(start).clone() for name, start in starts.items()
    }


def run_shares(setup: TextSetup, corpus: Corpus, base: Base, seeds: Seeds, mapped: Mapped = map) -> TextOutcome:
    """All shares; `mapped(function, shares)` computes them, such as on a cluster."""
    tables = mapped(partial(run_share, setup=setup, corpus=corpus, base=base, seeds=seeds), setup.shares)
    return TextOutcome(pd.concat(list(tables), ignore_index=True))


def run_share(
    share: float, setup: TextSetup, corpus: Corpus, base: Base, seeds: Seeds, progress: Progress | None = None
) -> pd.DataFrame:
    """The grades of one share's seeds. Seed k starts at all shares with the same parameters and sees its rows in the same order.

    Errors: ValueError for a share outside 0 < share < 1.
    """
    if not 0 < share < 1:
        raise ValueError(f"share: got {share}, allowed is 0 < share < 1")
    population = _trained(share, setup, corpus, base, seeds, progress)
    exams, sound = _exams(setup, corpus, seeds), (~population.diverged).nonzero().flatten()
    tables = []
    for step, params in sorted(population.snapshots.items()):
        table = pd.DataFrame({"share": share, "seed": range(setup.members), "step": step} | dict.fromkeys(TEXT_METRICS, np.nan))
        if len(sound):
            found = _measured(setup.net(), {name: value[sound] for name, value in params.items()}, exams)
            for name, values in found.items():
                table.loc[sound.cpu().numpy(), name] = values.cpu().numpy()
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _trained(share: float, setup: TextSetup, corpus: Corpus, base: Base, seeds: Seeds, progress: Progress | None) -> Population:
    nodes, device = [seeds.child("seed", k) for k in range(setup.members)], torch.device(setup.device)
    rows = mixture(corpus, share, setup.pool, setup.passage, setup.weight, seeds.child("rows"))
    return train(
        setup.net(), reinitialised(setup, base.params, nodes), rows.inputs.to(device), rows.targets.to(device),
        members=setup.members, steps=setup.steps, batch_size=setup.batch_size, seeds=nodes, optimiser="adamw",
        hyper=Hyperparameters(lr=setup.lr, weight_decay=DECAY, clip=CLIP), schedule=warm_cosine(setup.steps, WARMUP),
        snapshots=checkpoint_steps(setup.steps, setup.checkpoints), members_at_once=setup.members_at_once, progress=progress,
    )  # fmt: skip


def _exams(setup: TextSetup, corpus: Corpus, seeds: Seeds) -> Exams:
    return exams_of(corpus, setup.questions, setup.passage, seeds.child("exams"))


def _measured(net: Net, params: Params, exams: Exams) -> dict[str, Float64[Tensor, "K"]]:
    """TEXT_METRICS of K networks."""
    device = next(iter(params.values())).device
    odds = letter_odds(predict(net, params, exams.questions.inputs.to(device)))
    right = (exams.questions.targets[:, -1] - FIRST_LETTER).to(device)
    hits = (odds.argmax(-1) == right).sum(1).double() / len(right)
    nll = -odds.gather(-1, right.expand(len(odds), -1)[..., None]).mean((1, 2))
    log_p = predict(net, params, exams.text.inputs.to(device)).log_softmax(-1)
    signs = exams.text.targets.to(device).expand(len(log_p), -1, -1)[..., None]
    return {"accuracy": hits, "nll": nll, "lm": -log_p.gather(-1, signs).double().mean((1, 2, 3))}
