"""What the explorers of the dataset-geodesics study are about, what a reader may choose, and what is then to be seen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.figures import PALETTE
from lib.geodesics.hull import label_table
from lib.seeds import Seeds
from lib.transport.dataset_distance import Settings
from lib.transport.geodesics import SoftCloud
from lib.transport.labels import LabelledData, check_pair
from lib.transport.metric import TransportMetric
from lib.transport.weights import BestWeights, check_weights

ESTIMATORS = {"barycentric": "barycentric projection", "hard": "hard assignment", "mixup": "mixup (random pairs)"}
COUPLINGS = {"exact": "exact", "entropic": "entropic"}
BACKGROUNDS = {"distance": "predicted distance", "accuracy": "measured accuracy"}
EPSILON = (0.01, 1.0)  # bounds of the entropic regularisation, in median costs
LAM_Y = (0.01, 100.0)
SAMPLES = 8  # base samples that are followed
COLOURS = PALETTE[:3]  # of the sources
BASE_COLOUR, MIX_COLOUR = "#6B7280", "#000000"


@dataclass(frozen=True, eq=False)
class Measured:
    """Accuracies that a study has measured on the simplex: `weights` [G, m], `accuracy` [G] in %, each a mean of `n` runs."""

    weights: Float[Tensor, "G m"]
    accuracy: Float[Tensor, " G"]
    n: int


@dataclass(frozen=True, eq=False)
class Scene:
    """A base data set and two or three sources; make one with `Scene.of`, which checks it.

    `table` [L, L]: squared distances between all classes, the base's first and then each source's. `shape`: height and
    width of the images that the features are, None for points. `samples`: the base rows that are followed.
    """

    base_name: str
    base: LabelledData
    sources: Mapping[str, LabelledData]
    table: Float[Tensor, "L L"]
    settings: Settings
    shape: tuple[int, int] | None
    samples: Int[Tensor, " k"]
    measured: Measured | None
    seeds: Seeds

    @classmethod
    def of(
        cls,
        base: LabelledData,
        sources: Mapping[str, LabelledData],
        *,
        base_name: str = "base",
        settings: Settings = Settings(),
        table: Float[Tensor, "L L"] | None = None,
        shape: tuple[int, int] | None = None,
        measured: Measured | None = None,
        seeds: Seeds = Seeds(0),
    ) -> "Scene":
        """The scene of data sets of comparable features, kept in float64; `table` is computed where it is not given.

        `seeds` draw mixup's random pairs. Raises ValueError for other than two or three sources, data sets that do not fit
        each other or the shape, a lam_y that the slider does not reach, and measured weights off the simplex.
        """
        if len(sources) not in (2, 3):
            raise ValueError(f"sources: got {len(sources)}, allowed are 2 or 3")
        if base_name in sources:
            raise ValueError(f"base_name: got {base_name!r}, which is a source's name too, allowed is another")
        for source in sources.values():
            check_pair(base, source)
        if shape is not None and math.prod(shape) != base.features.shape[1]:
            raise ValueError(f"shape: got {shape}, allowed is one of {base.features.shape[1]} pixels, the features there are")
        if not LAM_Y[0] <= settings.lam_y <= LAM_Y[1]:
            raise ValueError(f"lam_y: got {settings.lam_y:g}, allowed are {LAM_Y[0]:g} to {LAM_Y[1]:g}, the ends of the slider")
        if measured is not None:
            check_weights(measured.weights, len(sources), "measured.weights")
        base, sources = _double(base), {name: _double(source) for name, source in sources.items()}
        table = label_table(base, list(sources.values()), settings) if table is None else table.double()
        return cls(base_name, base, sources, table, settings, shape, followed(base), measured, seeds)

    @property
    def names(self) -> tuple[str, ...]:
        """What the sources are called."""
        return tuple(self.sources)

    @property
    def sets(self) -> dict[str, LabelledData]:
        """All data sets by name, the base first."""
        return {self.base_name: self.base, **self.sources}

    @property
    def colours(self) -> dict[str, str]:
        """Each data set's colour, everywhere the same."""
        return {self.base_name: BASE_COLOUR, **dict(zip(self.names, COLOURS, strict=False))}

    @property
    def extent(self) -> tuple[float, float]:
        """Least and largest feature of all data sets: the ends of the grey scale."""
        values = [data.features for data in self.sets.values()]
        return min(float(x.min()) for x in values), max(float(x.max()) for x in values)

    @property
    def first(self) -> "State":
        """The state to begin with: equal weights, exact coupling, the scene's own lam_y."""
        return State(shares=(1.0,) * len(self.sources), lam_y=self.settings.lam_y)


def _double(data: LabelledData) -> LabelledData:
    weights = None if data.weights is None else data.weights.double()
    return LabelledData(data.features.double(), data.labels, data.names, weights)


def followed(data: LabelledData, count: int = SAMPLES) -> Int[Tensor, " k"]:
    """Rows of up to `count` samples, as even over the classes as can be: the first of each class, then the second, ..."""
    turn = torch.empty_like(data.labels)
    for label in range(data.classes):
        mine = data.labels == label
        turn[mine] = torch.arange(int(mine.sum()), device=turn.device)
    rows = torch.argsort(turn * data.classes + data.labels)[:count]
    return rows[torch.argsort(data.labels[rows], stable=True)]


@dataclass(frozen=True)
class State:
    """A reader's choices. `shares`: one number >= 0 per source, not all 0; divided by their sum they are the weights a.

    `epsilon`: entropic regularisation as a multiple of the median cost. `lam_y`: weight of the labels in the cost.
    """

    shares: tuple[float | int, ...]
    estimator: str = "barycentric"
    coupling: str = "exact"
    epsilon: float | int = 0.05
    lam_y: float | int = 1.0
    background: str = "distance"

    @property
    def weights(self) -> tuple[float, ...]:
        """Mixing weights a = s / sum(s) on the simplex. Raises ValueError for shares that have no such."""
        if not all(math.isfinite(s) and s >= 0 for s in self.shares) or not sum(self.shares) > 0:
            raise ValueError(f"weights: got {self.shares}, allowed are finite numbers >= 0 that are not all 0")
        return tuple(s / sum(self.shares) for s in self.shares)


@dataclass(frozen=True, eq=False)
class Stage:
    """All that weights do not change: what the live path multiplies, and what stands around it.

    `maps`: the base's images T_i in every source, row by row. `metric`, `best`: (2, Q)-metric of the maps and its optimum.
    `shown` [m, k d]: the followed rows of every map, flattened (all rows where features are points). `labels` [k, L]: soft
    labels of the followed rows, each block of sum 1. `entropies` [m]: mean label entropy of each map in bits.
    `costs` [m]: transport costs of the couplings, the data set distances where they are exact. `certificate`: how far to
    trust the couplings, in words.
    """

    maps: tuple[SoftCloud, ...]
    metric: TransportMetric
    best: BestWeights
    shown: Float[Tensor, "m _"]
    labels: Float[Tensor, "k L"]
    entropies: Float[Tensor, " m"]
    costs: Float[Tensor, " m"]
    certificate: str


@dataclass(frozen=True)
class Measurement:
    """Exact squared distances between P_a and the base: W2^2 of the features (times lam_x), and with labels (times lam_y)."""

    features: float
    labelled: float


@dataclass(frozen=True, eq=False)
class Frame:
    """What is to be seen in one state.

    `weights` [m]: a. `mix` [r, d]: the mixed samples (all rows where features are points). `labels` [k, L]: their block soft
    labels. `predicted`: f(a), and `predicted_features` its feature part, both in units of the cost.
    `entropy`: mean label entropy in bits, `mixing_entropy` that of a alone.
    """

    state: State
    weights: Float[Tensor, " m"]
    mix: Float[Tensor, "r d"]
    labels: Float[Tensor, "k L"]
    predicted: float
    predicted_features: float
    entropy: float
    mixing_entropy: float


@dataclass(frozen=True, eq=False)
class Backdrop:
    """Values over the simplex. `segments`: the points are those of `simplex_grid` and may be joined; 0: they stand alone."""

    weights: Float[Tensor, "G m"]
    values: Float[Tensor, " G"]
    segments: int
    title: str
    low_is_good: bool
