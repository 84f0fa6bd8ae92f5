"""The explorer of the geodesic between two data sets, as plain functions of a scene and a state, with its speed check.

A displacement along a coupling is a geodesic only if the coupling is optimal for the cost that measures it. So features move
at constant speed under the optimal coupling of features; pairs that labels have a say in, and random pairs, show what is lost.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.explorers.dataset_geodesics_state import Scene, followed
from lib.explorers.readout import Readout
from lib.geodesics.hull import measured_distance
from lib.transport.couplings import couple
from lib.transport.dataset_distance import ground_cost
from lib.transport.geodesics import SoftCloud, displacement, soft_cloud
from lib.transport.kernels import squared_distances
from lib.transport.labels import LabelledData

PAIRINGS = {"features": "optimal for features", "labels": "optimal with labels", "random": "random pairs"}
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST = 200  # samples of each set: ten exact couplings then take a moment, not longer


@dataclass(frozen=True)
class PathState:
    """A reader's choices: from which data set to which, how their samples are paired, and the time t in 0..1."""

    left: str
    right: str
    pairing: str = "features"
    t: float | int = 0.5


@dataclass(frozen=True)
class Speed:
    """`ratio` = W2(P_s, P_t) / (|t - s| W2(P_0, P_1)), of the features: 1 on a geodesic."""

    s: float
    t: float
    ratio: float


@dataclass(frozen=True, eq=False)
class Pair:
    """Two coupled data sets. `length`: W2(P_0, P_1) of the features. `speeds`: of all pairs of TIMES.

    `rows` [k]: followed samples of the left set; `partners` [k]: to whom the most of each goes.
    """

    left: LabelledData
    right: LabelledData
    plan: Float[Tensor, "n m"]
    length: float
    rows: Int[Tensor, " k"]
    partners: Int[Tensor, " k"]
    speeds: tuple[Speed, ...]

    @property
    def deviation(self) -> float:
        """How far the speed is from constant at most."""
        return max(abs(each.ratio - 1) for each in self.speeds)


@dataclass(frozen=True, eq=False)
class PathFrame:
    """What is to be seen: `moving` [r, d]: followed samples at t, or all that move where features are points; `labels` [k, C]."""

    state: PathState
    moving: Float[Tensor, "r d"]
    labels: Float[Tensor, "k C"]


def first_path(scene: Scene) -> PathState:
    """From the base to the first source."""
    return PathState(scene.base_name, scene.names[0])


def check_path(scene: Scene, state: PathState) -> None:
    """Refuse a state that cannot be, in one line (ValueError)."""
    for name in ("left", "right"):
        if getattr(state, name) not in scene.sets:
            raise ValueError(f"{name}: got {getattr(state, name)!r}, allowed are {', '.join(scene.sets)}")
    if state.left == state.right:
        raise ValueError(f"right: got {state.right!r}, from which the path starts, allowed is another data set")
    if state.pairing not in PAIRINGS:
        raise ValueError(f"pairing: got {state.pairing!r}, allowed are {', '.join(PAIRINGS)}")
    if not 0 <= state.t <= 1:
        raise ValueError(f"t: got {state.t}, allowed is 0 to 1")


def path_frame(scene: Scene, state: PathState) -> PathFrame:
    """What is to be seen in `state`. Raises ValueError for a state that cannot be."""
    check_path(scene, state)
    pair, t = pair_of(scene, state), state.t
    x, y = pair.left.features[pair.rows], pair.right.features[pair.partners]
    if scene.shape is None:
        moving = displacement(soft_cloud(pair.left), soft_cloud(pair.right), pair.plan, t).features
    else:
        moving = torch.lerp(x, y, t)
    labels = torch.cat([(1 - t) * pair.left.one_hot[pair.rows], t * pair.right.one_hot[pair.partners]], dim=1)
    return PathFrame(state, moving, labels)


def pair_of(scene: Scene, state: PathState) -> Pair:
    """The coupled data sets of `state` and the speed of the path between them; kept, since t changes nothing of it."""
    check_path(scene, state)
    return _pair(scene, state.left, state.right, state.pairing)


@lru_cache(maxsize=32)
def _pair(scene: Scene, left_name: str, right_name: str, pairing: str) -> Pair:
    left, right = _small(scene, left_name), _small(scene, right_name)
    cost = _cost(scene, (left_name, right_name), (left, right), pairing)
    plan = couple(cost, left.weights, right.weights, method="exact").plan
    clouds = {t: displacement(soft_cloud(left), soft_cloud(right), plan, t) for t in TIMES}
    length = measured_distance(clouds[0.0], clouds[1.0]) ** 0.5
    if length == 0:
        raise ValueError(f"right: {right_name!r} has the very features of {left_name!r}, allowed is another data set")
    rows = followed(left)
    return Pair(left, right, plan, length, rows, plan[rows].argmax(1), _speeds(clouds, length))


def _small(scene: Scene, name: str) -> LabelledData:
    data = scene.sets[name]
    return data if len(data.labels) <= MOST else data.subsample(MOST, scene.seeds.child("path", name), balanced=True)


def _cost(scene: Scene, names: tuple[str, str], sets: tuple[LabelledData, LabelledData], pairing: str) -> Float[Tensor, "n m"]:
    left, right = sets
    if pairing == "features":
        return squared_distances(left.features, right.features)
    if pairing == "labels":
        rows, columns = (_classes(scene, name, data) for name, data in zip(names, sets, strict=True))
        table = scene.table[rows][:, columns] / (2 if scene.settings.half else 1)
        return ground_cost(left, right, table, scene.settings)
    # Random pairs: the optimal coupling of a cost that means nothing, one to one wherever that is possible.
    generator = scene.seeds.child("random pairs").torch()
    return torch.rand(len(left.labels), len(right.labels), generator=generator, dtype=left.features.dtype)


def _classes(scene: Scene, name: str, data: LabelledData) -> list[int]:
    """Where the classes of a part of a data set stand in the scene's table."""
    sets = list(scene.sets)
    start = sum(scene.sets[other].classes for other in sets[: sets.index(name)])
    return [start + scene.sets[name].names.index(each) for each in data.names]


def _speeds(clouds: Mapping[float, SoftCloud], length: float) -> tuple[Speed, ...]:
    pairs = itertools.combinations(clouds, 2)
    return tuple(Speed(s, t, measured_distance(clouds[s], clouds[t]) ** 0.5 / ((t - s) * length)) for s, t in pairs)


def path_readouts(scene: Scene, state: PathState) -> list[Readout]:
    """What the path says in numbers."""
    pair = pair_of(scene, state)
    sizes = f"{len(pair.left.labels)} and {len(pair.right.labels)} samples, features alone"
    constant = pair.deviation < 1e-6
    verdict = "constant: a geodesic" if constant else "not constant: no geodesic of the features"
    return [
        Readout("time t", f"{state.t:.2f}", f"label mass {1 - state.t:.2f} {state.left}, {state.t:.2f} {state.right}"),
        Readout("W2(P_0, P_1)", f"{pair.length:.4g}", sizes),
        Readout("speed", verdict, f"largest deviation from 1: {pair.deviation:.1e}", not constant),
    ]
