"""A hull of data sets: sources mapped onto one base, the metric between them and the point nearest to the base."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from lib.transport.couplings import couple
from lib.transport.dataset_distance import DatasetDistance, Settings, dataset_distance
from lib.transport.geodesics import SoftCloud, interpolate, project, soft_cloud
from lib.transport.kernels import squared_distances
from lib.transport.labels import LabelledData, label_distances, pool
from lib.transport.metric import TransportMetric, transport_metric
from lib.transport.weights import BestWeights


@dataclass(frozen=True, eq=False)
class Hull:
    """Data sets P_i seen from a base Q.

    `base`: Q. `sources`: the P_i themselves; `maps`: their projections on Q's points. `table` [L, L]: squared distances
    between all classes, the base's first. `distances`: each P_i's labelled distance from Q with its coupling. `metric`: w and
    M of the maps. `best`: the weights a* of the hull's point nearest to Q.
    """

    base: SoftCloud
    sources: tuple[SoftCloud, ...]
    maps: tuple[SoftCloud, ...]
    table: Float[Tensor, "L L"]
    distances: tuple[DatasetDistance, ...]
    metric: TransportMetric
    best: BestWeights

    def at(self, weights: Float[Tensor, "m"]) -> SoftCloud:
        """The data set P_a at these weights; ValueError for weights off the simplex."""
        return interpolate(self.maps, weights)


def build_hull(
    base: LabelledData,
    sources: Sequence[LabelledData],
    settings: Settings = Settings(),
    *,
    method: str = "barycentric",
    epsilon: float | None = None,
) -> Hull:
    """Couple every source with the base under the labelled distance of `settings`, project, and solve for a* [fan2023].

    `method`: barycentric or hard projection. `epsilon`: entropic couplings of that regularisation, in units of the cost
    (None: exact ones). The label table is computed once between all classes of all sets.
    Errors: ValueError for no sources, or as the functions of lib.transport that it calls; a class too small for the
    label distances is refused.
    """
    if not sources:
        raise ValueError("sources: got none, allowed is one or more")
    table = label_table(base, sources, settings)
    solver = {"method": "exact"} if epsilon is None else {"method": "entropic", "epsilon": epsilon}
    blocks = table[: base.classes].split([base.classes, *(source.classes for source in sources)], dim=1)[1:]
    distances = tuple(
        dataset_distance(base, source, settings, table=block, **solver) for source, block in zip(sources, blocks, strict=True)
    )
    clouds = tuple(soft_cloud(source) for source in sources)
    maps = tuple(project(found.coupling.plan, cloud, method) for found, cloud in zip(distances, clouds, strict=True))
    return hull_of_maps(soft_cloud(base), clouds, maps, table, distances, settings)


def hull_of_maps(
    base: SoftCloud,
    sources: tuple[SoftCloud, ...],
    maps: tuple[SoftCloud, ...],
    table: Float[Tensor, "L L"],
    distances: tuple[DatasetDistance, ...],
    settings: Settings,
) -> Hull:
    """The hull of given maps, such as neural ones: its metric, and a* by the quadratic programme."""
    metric = transport_metric(base, maps, table, lam_x=settings.lam_x, lam_y=settings.lam_y, half=settings.half)
    return Hull(base, sources, maps, table, distances, metric, metric.best())


def label_table(base: LabelledData, sources: Sequence[LabelledData], settings: Settings) -> Float[Tensor, "L L"]:
    """Squared label distances between all classes of all sets, the base's first, not halved; zeros where lam_y is 0.

    Errors: ValueError where a class has too few samples for `settings.label_method`.
    """
    everything = pool([base, *sources])
    if settings.lam_y == 0:
        return base.features.new_zeros(everything.classes, everything.classes)
    table = label_distances(everything, everything, settings.label_method, unbiased=settings.unbiased)
    if len(table) < everything.classes:
        raise ValueError(f"label_method: got {settings.label_method!r}, which needs two samples or more of every class")
    return table


def measured_distance(left: SoftCloud, right: SoftCloud) -> float:
    """Exact squared W2 between the features of two data sets: what a hull's features-only f(a) bounds from above."""
    cost = squared_distances(left.features.double(), right.features.double())
    return couple(cost, _normal(left.mass), _normal(right.mass), method="exact").value.item()


def _normal(mass: Tensor) -> Float[Tensor, "n"]:
    """Mass in float64 that sums to one there too."""
    return mass.double() / mass.double().sum()
