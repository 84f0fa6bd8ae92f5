"""The 3-D example of the authors of [fan2023]: three sources in the plane z = 0, the base high above their triangle."""

import torch

from lib.seeds import Seeds
from lib.transport.labels import LabelledData, labelled

SCALE = 1.2  # of the centres
VARIANCE = 0.03  # of each coordinate about its centre
HEIGHT = 10 * SCALE  # of the base above the plane of the sources
BASE = ((-2, -1, 10), (-1, -1, 10), (-2, 0, 10), (-1, 0, 10))
SOURCES = (
    ((1, -6, 0), (1, -7, 0)),
    ((0, 5, 0), (0, 4, 0), (-1, 4.5, 0)),
    ((-8.8, -4, 0), (-8, -4.2, 0), (-7.2, -3.9, 0)),
)


def toy(seeds: Seeds, points: int = 500) -> tuple[LabelledData, tuple[LabelledData, ...]]:
    """The base Q and the sources P_1, P_2, P_3 of the authors' notebook, `points` rows [points, 3] each, in float64.

    Gaussian clusters of variance 0.03, one class each and of equal size (up to one point), centres scaled by 1.2. The best
    point of the hull lies under the base: f(a*) is about 12^2, the squared height.
    Errors: ValueError for fewer points than clusters in a set.
    """
    if points < len(BASE):
        raise ValueError(f"points: got {points}, allowed are whole numbers >= {len(BASE)}, one for each cluster")
    sets = [_clusters(centres, points, seeds.child("set", i)) for i, centres in enumerate((BASE, *SOURCES))]
    return sets[0], tuple(sets[1:])


def _clusters(centres: tuple[tuple[float | int, ...], ...], points: int, seeds: Seeds) -> LabelledData:
    labels = torch.arange(points) * len(centres) // points
    noise = torch.randn(points, 3, generator=seeds.torch(), dtype=torch.float64)
    return labelled(SCALE * torch.tensor(centres, dtype=torch.float64)[labels] + VARIANCE**0.5 * noise, labels)
