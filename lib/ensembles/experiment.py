"""A pool under domain shift: a shared start, a population fine-tuned from it with one domain held out, and what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lib.devices import pick_device
from lib.ensembles.domains import Domains, read_domains
from lib.ensembles.mechanics import SubsetSample
from lib.ensembles.outcome import Outcome, diversity_sample, measurements, rule_table, run_rules
from lib.ensembles.soups import Pool
from lib.nets import MLP, ConvNet, ModuleNet, Net, Params
from lib.nets.vision import photograph_classifier
from lib.population import Hyperparameters, flatten, predict, stack, train, unflatten
from lib.seeds import Seeds

START_RATE = 1e-3  # learning rate of the shared start
GRID = {"lr": "rates", "weight_decay": "weight_decays", "dropout": "dropouts", "noise": "noises", "label_smoothing": "smoothings"}


@dataclass(frozen=True)
class Setup:
    """What fixes a pool; the fields are those of the study's schema with the same names."""

    dataset: str
    net: str
    activation: str
    backbone: str
    domains: list[str]
    n_models: int
    width: int
    pretrain_steps: int
    steps: int
    batch_size: int
    bag: float
    rates: list[float]
    weight_decays: list[float]
    dropouts: list[float]
    noises: list[float]
    smoothings: list[float]
    shared_start: bool
    members_at_once: int
    device: str

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Setup":
        """Pick the fields of a setup out of a study's parameters.

        The device auto is decided here, once, so that pools that are made elsewhere are made on the same kind of device.
        """
        given = {field.name: params[field.name] for field in fields(cls)}
        return cls(**given | ({"device": pick_device("auto").type} if given["device"] == "auto" else {}))

    @property
    def where(self) -> torch.device:
        """The device to compute on."""
        return pick_device(self.device)


@dataclass(frozen=True, eq=False)
class PoolResult:
    """One repeat with one domain held out: the rules' table and the numbers measured.

    `outcome` and `sample` hold the pool itself, for figures and the explorer; only the first repeat keeps them.
    """

    repeat: int
    held_out: str
    table: pd.DataFrame
    measured: dict[str, float]
    outcome: Outcome | None
    sample: SubsetSample | None


def run_pool(
    pair: tuple[int, str], setup: Setup, seeds: Seeds, subset_size: int, random_subsets: int, **options: Any
) -> PoolResult:
    """Build the pool of one (repeat, held-out domain), let every rule choose from it, and measure.

    It depends on its arguments alone: `seeds` is the study's node, the pair decides which branch is used, and domains of one
    repeat come out the same for each pair. So pairs may be computed in any order and in any process. `options` (accept,
    reference, rerank) go to the rules. Raises as `read_domains` and `build_pool` do.
    """
    repeat, held_out = pair
    root = seeds.child("repeat", repeat)
    domains = _domains(setup.dataset, tuple(setup.domains), root.child("data"), setup.where)
    pool = build_pool(setup, domains, held_out, root.child("pool", held_out))
    outcome = run_rules(pool, repeat, held_out, root.child("rules", held_out), **options)
    sample = diversity_sample(outcome, subset_size, random_subsets, root.child("subsets", held_out))
    table, measured = rule_table(outcome), measurements(outcome, sample, root.child("chance", held_out))
    kept = (outcome, sample) if repeat == 0 else (None, None)
    return PoolResult(repeat, held_out, table, measured, *kept)


@lru_cache(maxsize=1)  # photographs take minutes to read, and the pairs of one repeat follow each other
def _domains(dataset: str, names: tuple[str, ...], seeds: Seeds, device: torch.device) -> Domains:
    return read_domains(dataset, list(names), seeds, device)


def rows_of(net: Net, images: Tensor) -> Tensor:
    """Images [n, h, w] in the shape that the net takes: flat rows, or one channel; photographs stay as they are."""
    if images.dim() == 4:
        return images
    return images.flatten(1) if net.input_ndim == 2 else images.unsqueeze(1)


def build_pool(setup: Setup, domains: Domains, held_out: str, seeds: Seeds) -> Pool:
    """Fine-tune `n_models` ingredients on all domains but `held_out`, each with a bag, an order and hyper-parameters of its own.

    Every ingredient starts from the same theta_0 (unless `shared_start` is false) and sees a random part `bag` of the
    pooled training images. The pool's splits are id_val, id_test and ood. Raises ValueError for an ingredient that diverged.
    """
    splits = domains.splits(held_out)
    net, start = _start(setup, domains, splits, seeds)
    data = {name: (rows_of(net, images), labels) for name, (images, labels) in splits.items()}
    images, labels = data.pop("train")
    table = draw_hyperparameters(setup, seeds.child("hyperparameters"))
    population = train(
        net, start, images, labels, members=setup.n_models, steps=setup.steps, batch_size=setup.batch_size,
        hyper=Hyperparameters(**{name: torch.tensor(table[name].to_numpy()) for name in GRID}),
        subsets=_bags(len(labels), setup, seeds), seeds=seeds.child("fine-tuning"), members_at_once=setup.members_at_once,
    )  # fmt: skip
    like = {name: value[:1].clone() for name, value in population.params.items()}  # a view would keep all models alive

    def on(function: Callable[[Params, Tensor], Tensor]) -> Callable[[Tensor, str], Tensor]:
        def of(flat: Tensor, split: str) -> Tensor:
            x = data[split][0]
            return function(unflatten(flat, like), x.to(flat.dtype) if x.is_floating_point() else x)

        return of

    features = getattr(net, "features", None)
    return Pool(
        flat=flatten(population.params),
        theta0=flatten({name: value[:1] for name, value in start.items()} if not setup.shared_start else _stacked(start))[0],
        labels={name: y for name, (_, y) in data.items()},
        n_classes=domains.n_classes,
        predict=on(lambda params, x: predict(net, params, x)),
        features=on(features) if features else None,
        table=table,
        layers=tuple(value.numel() for value in like.values()),
    )


def draw_hyperparameters(setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """One row for each ingredient, every column drawn from its list in the setup."""
    rng = {name: seeds.child(name).numpy() for name in GRID}
    drawn = {name: rng[name].choice(getattr(setup, field), setup.n_models) for name, field in GRID.items()}
    return pd.DataFrame(drawn)


def _bags(n: int, setup: Setup, seeds: Seeds) -> list[Tensor]:
    """A random part of the training rows for each ingredient."""
    size = max(1, round(setup.bag * n))
    rows = (seeds.child("bag", k).numpy().permutation(n)[:size] for k in range(setup.n_models))
    return [torch.from_numpy(np.sort(row)) for row in rows]


def _stacked(params: Params) -> Params:
    return {name: value.unsqueeze(0) for name, value in params.items()}


def _start(setup: Setup, domains: Domains, splits: Mapping[str, Any], seeds: Seeds) -> tuple[Net, Params]:
    """The net, and theta_0: one network's parameters, or one for each ingredient where the start is not shared."""
    if setup.net == "resnet50":
        return _probed_backbone(setup, domains, splits, seeds)
    images, labels = domains.parts["clean"]["train"]
    net = _small_net(setup, images.shape[1:], domains.n_classes)
    count = 1 if setup.shared_start else setup.n_models
    start = stack([net.init(seeds.child("init", k)) for k in range(count)])
    start = {name: value.to(setup.where) for name, value in start.items()}
    start = _fit(setup, net, start, rows_of(net, images), labels, seeds)
    return net, {name: value[0] for name, value in start.items()} if setup.shared_start else start


def _fit(setup: Setup, net: Net, start: Params, x: Tensor, y: Tensor, seeds: Seeds) -> Params:
    """Train stacked parameters for `pretrain_steps`."""
    if setup.pretrain_steps == 0:
        return start
    members = len(next(iter(start.values())))
    return train(
        net, start, x, y, members=members, steps=setup.pretrain_steps, batch_size=setup.batch_size,
        hyper=Hyperparameters(lr=START_RATE), seeds=seeds.child("start"),
    ).params  # fmt: skip


def _small_net(setup: Setup, shape: tuple[int, ...], classes: int) -> Net:
    height, width = shape
    if setup.net == "convnet":
        return ConvNet(side=height, channels_in=1, width=setup.width, classes=classes)
    return MLP((height * width, setup.width, setup.width, classes), setup.activation)


def _probed_backbone(setup: Setup, domains: Domains, splits: Mapping[str, Any], seeds: Seeds) -> tuple[Net, Params]:
    """A pretrained backbone with a linear head trained on frozen features of the training domains [rame2022]."""
    module = photograph_classifier(setup.backbone, domains.n_classes, seeds.child("init", 0)).to(setup.where)
    module.backbone.requires_grad_(False)
    probe = ModuleNet(module, batch_ndim=4)
    head = _fit(setup, probe, _stacked(probe.init(seeds)), *splits["train"], seeds)
    with torch.no_grad():
        for name, value in module.named_parameters():
            if name in head:
                value.copy_(head[name][0])
    module.backbone.requires_grad_(True)
    net = ModuleNet(module, batch_ndim=4)
    start = net.init(seeds)
    return net, start if setup.shared_start else stack([start] * setup.n_models)
