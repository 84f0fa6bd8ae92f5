"""The simplex explorer of the dataset-geodesics study as plain functions of a scene and a state.

What depends on the weights alone is one matrix product (`frame`); couplings and projections (`stage`) are made once for each
choice of coupling, epsilon, lam_y and estimator, and kept.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from lib.explorers.dataset_geodesics_state import (
    BACKGROUNDS,
    COUPLINGS,
    EPSILON,
    ESTIMATORS,
    LAM_Y,
    Backdrop,
    Frame,
    Measurement,
    Scene,
    Stage,
    State,
)
from lib.geodesics.hull import measured_distance
from lib.transport.couplings import Coupling, couple
from lib.transport.dataset_distance import Settings, ground_cost
from lib.transport.geodesics import SoftCloud, interpolate, mixup, project, soft_cloud
from lib.transport.kernels import squared_distances
from lib.transport.metric import transport_metric
from lib.transport.weights import check_weights, predicted_distance, simplex_grid

SEGMENTS = 30  # of the grid on which the predicted distance is drawn


def check(scene: Scene, state: State) -> None:
    """Refuse a state that cannot be, in one line (ValueError)."""
    check_weights(torch.tensor(state.weights, dtype=torch.float64), len(scene.sources))
    for name, allowed in (("estimator", ESTIMATORS), ("coupling", COUPLINGS), ("background", BACKGROUNDS)):
        if getattr(state, name) not in allowed:
            raise ValueError(f"{name}: got {getattr(state, name)!r}, allowed are {', '.join(allowed)}")
    for name, (low, high) in (("epsilon", EPSILON), ("lam_y", LAM_Y)):
        value = getattr(state, name)
        if not low * (1 - 1e-9) <= value <= high * (1 + 1e-9):  # a slider's ends come back as 10 ** log10(end)
            raise ValueError(f"{name}: got {value:g}, allowed are {low:g} to {high:g}")
    if state.background == "accuracy" and scene.measured is None:
        raise ValueError("background: got 'accuracy', which was not measured here, allowed is distance")


def frame(scene: Scene, state: State) -> Frame:
    """What is to be seen in `state`. Raises ValueError for a state that cannot be."""
    check(scene, state)
    now = stage(scene, state)
    a = torch.tensor(state.weights, dtype=now.shown.dtype)
    mixing = float(torch.special.entr(a).sum()) / math.log(2)
    widths = torch.tensor([cloud.labels.shape[1] for cloud in now.maps])
    half = 2 if now.metric.half else 1
    features = now.metric.feature_parts * (now.metric.lam_x / half)
    return Frame(
        state=state,
        weights=a,
        mix=(a @ now.shown).view(-1, scene.base.features.shape[1]),
        labels=now.labels * a.repeat_interleave(widths),
        predicted=float(now.metric.distance(a)),
        predicted_features=float(predicted_distance(a, features[0, 1:], features[1:, 1:])),
        # Chain rule: the entropy of (a_1 y_1, ..., a_m y_m) is that of a plus the mean of those of the y_i.
        entropy=mixing + float(a @ now.entropies),
        mixing_entropy=mixing,
    )


def is_new(one: State, other: State) -> bool:
    """Whether the second state needs other couplings or maps than the first."""
    return any(getattr(one, name) != getattr(other, name) for name in ("estimator", "coupling", "epsilon", "lam_y"))


def stage(scene: Scene, state: State) -> Stage:
    """What `state` fixes whatever its weights are; kept, so that only a new choice of method takes time."""
    if state.coupling == "exact":  # which epsilon then stands on the slider changes nothing
        return _stage(scene, state.estimator, state.coupling, 0.0, state.lam_y)
    return _stage(scene, state.estimator, state.coupling, state.epsilon, state.lam_y)


@lru_cache(maxsize=32)
def _stage(scene: Scene, estimator: str, coupling: str, epsilon: float, lam_y: float) -> Stage:
    settings = replace(scene.settings, lam_y=lam_y)
    base, sources = soft_cloud(scene.base), [soft_cloud(source) for source in scene.sources.values()]
    projected, costs, certificate = _couplings(scene, coupling, epsilon, lam_y)
    maps = _random_pairs(scene, sources) if estimator == "mixup" else projected[estimator]
    metric = transport_metric(base, maps, scene.table, lam_x=settings.lam_x, lam_y=settings.lam_y, half=settings.half)
    with warnings.catch_warnings():  # the read-outs show the curvature
        warnings.filterwarnings("ignore", "pairwise: -M has curvature", UserWarning)
        best = metric.best()
    rows = scene.samples if scene.shape else torch.arange(len(base))
    return Stage(
        maps=maps,
        metric=metric,
        best=best,
        shown=torch.stack([cloud.features[rows].flatten() for cloud in maps]),
        labels=torch.cat([cloud.labels[scene.samples] for cloud in maps], dim=1),
        entropies=torch.stack([cloud.mass @ torch.special.entr(cloud.labels).sum(1) for cloud in maps]) / math.log(2),
        costs=costs,
        certificate=certificate,
    )


Projected = dict[str, tuple[SoftCloud, ...]]


@lru_cache(maxsize=16)
def _couplings(scene: Scene, coupling: str, epsilon: float, lam_y: float) -> tuple[Projected, Float[Tensor, " m"], str]:
    """Both projections along the couplings of the base with every source, the couplings' costs and their certificates."""
    settings = replace(scene.settings, lam_y=lam_y)
    found, costs = [], []
    for source, block in zip(scene.sources.values(), _blocks(scene, settings), strict=True):
        cost = ground_cost(scene.base, source, block, settings)
        solver = {"method": "exact"} if coupling == "exact" else {"method": coupling, "epsilon": epsilon * float(cost.median())}
        found.append(couple(cost, scene.base.weights, source.weights, **solver))
        costs.append((found[-1].plan * cost).sum())
    clouds = [soft_cloud(source) for source in scene.sources.values()]
    projected = {
        method: tuple(project(each.plan, cloud, method) for each, cloud in zip(found, clouds, strict=True))
        for method in ("barycentric", "hard")
    }
    return projected, torch.stack(costs), _in_words(found)


def _blocks(scene: Scene, settings: Settings) -> tuple[Float[Tensor, "C D"], ...]:
    """Label distances of the base's classes and each source's, halved where `settings.half` is set."""
    widths = [data.classes for data in scene.sets.values()]
    table = scene.table[: scene.base.classes] / (2 if settings.half else 1)
    return table.split(widths, dim=1)[1:]


def _in_words(found: Sequence[Coupling]) -> str:
    certificates = [coupling.certificate for coupling in found]
    gap = max(each.gap for each in certificates)
    violation = max(each.marginal_violation for each in certificates)
    steps = "" if all(each.ok for each in certificates) else ", NOT CONVERGED"
    return f"duality gap {gap:.1e}, marginals off by {violation:.1e}{steps}"


def _random_pairs(scene: Scene, sources: Sequence[SoftCloud]) -> tuple[SoftCloud, ...]:
    """What mixup pairs with each base row: an independent draw from every source, the same whatever the weights."""
    drawn = []
    for i, cloud in enumerate(sources):
        vertex = torch.eye(len(sources), dtype=cloud.features.dtype)[i]
        found = mixup(sources, vertex, len(scene.base.labels), scene.seeds.child("mixup"))
        labels = found.labels.split(found.blocks, dim=1)[i]
        drawn.append(SoftCloud(found.features, labels, soft_cloud(scene.base).mass, cloud.blocks))
    return tuple(drawn)


def measure(scene: Scene, state: State) -> Measurement:
    """Exact transport between the data set P_a of `state` and the base: features alone, and with the labels.

    The feature value is what f's feature part bounds from above. With labels, the cost between a block soft label y and a
    base class c is sum_d y_d table[d, c], linear in y; at a vertex, under an exact coupling that is one to one, that is the
    data set distance. Two exact couplings of base size; not for the live path.
    """
    check(scene, state)
    settings = replace(scene.settings, lam_y=state.lam_y)
    cloud = interpolate(stage(scene, state).maps, torch.tensor(state.weights, dtype=torch.float64))
    base, unit = soft_cloud(scene.base), 2 if settings.half else 1
    cost = settings.lam_x / unit * squared_distances(cloud.features, base.features)
    cost = cost + settings.lam_y * (cloud.labels @ torch.cat(_blocks(scene, settings), dim=1).T)[:, scene.base.labels]
    labelled = couple(cost, cloud.mass, base.mass, method="exact").value
    return Measurement(settings.lam_x / unit * measured_distance(cloud, base), float(labelled))


@lru_cache(maxsize=32)
def _grid_values(now: Stage) -> tuple[Tensor, Tensor]:
    grid = simplex_grid(len(now.maps), SEGMENTS)
    return grid, now.metric.distance(grid)


def backdrop(scene: Scene, state: State) -> Backdrop:
    """The values over the simplex that `state` asks for."""
    check(scene, state)
    if state.background == "accuracy":
        measured = scene.measured
        return Backdrop(measured.weights, measured.accuracy, 0, f"accuracy in %, mean of {measured.n}", low_is_good=False)
    grid, values = _grid_values(stage(scene, state))
    return Backdrop(grid, values, SEGMENTS, "predicted squared distance to the base", low_is_good=True)


def slide(state: State, source: int, share: float | int) -> State:
    """One slider moved; the weights are the shares divided by their sum. Raises ValueError where all shares would be 0."""
    moved = replace(state, shares=(*state.shares[:source], share, *state.shares[source + 1 :]))
    return moved if moved.weights else state


def move(scene: Scene, state: State, weights: Sequence[float | int]) -> State:
    """The point put elsewhere. Raises ValueError for weights off the simplex."""
    check_weights(torch.tensor(weights, dtype=torch.float64), len(scene.sources))
    return replace(state, shares=tuple(weights))


def snap(scene: Scene, state: State, target: int | str) -> State:
    """The point put on vertex `target` (0 is the first), or on the "centre" or the "optimum" a* of the programme."""
    m = len(scene.sources)
    if target == "centre":
        return move(scene, state, [1 / m] * m)
    if target == "optimum":
        return move(scene, state, stage(scene, state).best.weights.tolist())
    if target not in range(m):
        raise ValueError(f"target: got {target!r}, allowed are 0 to {m - 1}, centre, optimum")
    return move(scene, state, [float(i == target) for i in range(m)])


def along(scene: Scene, state: State, start: int, end: int, t: float | int) -> State:
    """The point (1 - t) e_start + t e_end on an edge. Raises ValueError for t outside 0..1 and for equal ends."""
    m = len(scene.sources)
    if not (start in range(m) and end in range(m) and start != end):
        raise ValueError(f"edge: got {start} to {end}, allowed are two different numbers of 0 to {m - 1}")
    if not 0 <= t <= 1:
        raise ValueError(f"t: got {t}, allowed is 0 to 1")
    return move(scene, state, [(1 - t) * (i == start) + t * (i == end) for i in range(m)])
