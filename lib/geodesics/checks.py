"""Known answers on the way to the transfer experiment: the toy's projection, constant speed, and shifts in the right order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd
import torch
from jaxtyping import Float
from scipy.ndimage import rotate
from torch import Tensor

from lib.geodesics.hull import Hull, build_hull, measured_distance
from lib.geodesics.toy import toy
from lib.seeds import Seeds
from lib.transport.dataset_distance import Settings, dataset_distance
from lib.transport.geodesics import SoftCloud, displacement, mixup, soft_cloud
from lib.transport.labels import LabelledData
from lib.transport.metric import transport_metric
from lib.transport.weights import BestWeights

TOY = Settings(lam_x=1.0, lam_y=0.1)  # as in the authors' notebook
TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, eq=False)
class ToyReport:
    """The authors' 3-D toy: its hull, the best weights by features alone, and the data sets that these weights make.

    `table`: for the best, the uniform weights and each source alone, the predicted squared distance f(a) and the exact W2^2
    to the base, and the same W2^2 for mixup with the weights.
    """

    hull: Hull
    best: BestWeights
    mixed: SoftCloud
    table: pd.DataFrame


def toy_report(seeds: Seeds, points: int) -> ToyReport:
    """Couple the toy's sources with its base, find a*, and measure what the quadratic programme predicts."""
    base, sources = toy(seeds, points)
    hull = build_hull(base, sources, TOY)
    metric = transport_metric(hull.base, hull.maps, lam_x=1.0, lam_y=0.0)
    best, like = metric.best(), metric.linear
    m = len(sources)
    choices = {"best": best.weights, "uniform": like.new_full((m,), 1 / m)}
    choices |= {f"source {i + 1}": row for i, row in enumerate(torch.eye(m, dtype=like.dtype))}
    rows = []
    for name, weights in choices.items():
        random = mixup(hull.sources, weights, points, seeds.child("mixup", name))
        rows.append(
            {
                "weights": name, **{f"a{i + 1}": value for i, value in enumerate(weights.tolist())},
                "predicted": metric.distance(weights).item(), "exact": measured_distance(hull.at(weights), hull.base),
                "mixup": measured_distance(random, hull.base),
            }
        )  # fmt: skip
    drawn = mixup(hull.sources, best.weights, points, seeds.child("mixup", "best"))
    return ToyReport(hull, best, drawn, pd.DataFrame(rows).set_index("weights"))


def speeds(left: LabelledData, right: LabelledData, times: Sequence[float] = TIMES) -> pd.DataFrame:
    """W2(P_s, P_t) / (|t - s| W2(P_0, P_1)) for all pairs of times on McCann's path between two sets: 1 on a geodesic.

    Features alone, exact couplings, so the only error is rounding.
    """
    ends = soft_cloud(left), soft_cloud(right)
    features = Settings(lam_x=1.0, lam_y=0.0)
    plan = dataset_distance(left, right, features, method="exact").coupling.plan
    path = {t: displacement(*ends, plan, t) for t in times}
    whole = measured_distance(path[times[0]], path[times[-1]]) ** 0.5 / (times[-1] - times[0])
    rows = [(s, t, measured_distance(path[s], path[t]) ** 0.5 / ((t - s) * whole)) for s, t in combinations(times, 2)]
    return pd.DataFrame(rows, columns=["s", "t", "speed"])


def rotated(data: LabelledData, degrees: float, side: int) -> LabelledData:
    """The images of a set turned about their centres by `degrees`, bilinearly, black from outside."""
    images = data.features.view(-1, side, side)
    turned = rotate(images.cpu().numpy(), degrees, axes=(2, 1), reshape=False, order=1, mode="constant")
    return LabelledData(torch.from_numpy(turned).to(images).flatten(1), data.labels, data.names, data.weights)


def shift_distances(data: LabelledData, angles: Sequence[float], side: int, settings: Settings) -> Float[Tensor, "A"]:
    """The labelled distance from a set to itself turned by each angle: it should grow with the angle."""
    found = [dataset_distance(data, rotated(data, angle, side), settings, method="exact").value for angle in angles]
    return torch.stack(found)


def relabelled_distance(data: LabelledData, settings: Settings) -> float:
    """The distance from a set to itself with its classes renamed in a circle: names mean nothing, so it should be 0."""
    renamed = LabelledData(data.features, (data.labels + 1) % data.classes, data.names, data.weights)
    return dataset_distance(data, renamed, settings, method="exact").value.item()
