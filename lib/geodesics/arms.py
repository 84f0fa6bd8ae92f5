"""What a student may be pretrained on: the geodesic data sets and their rivals, with labels in one common width."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.geodesics.hull import Hull
from lib.geodesics.tasks import Episode
from lib.seeds import Seeds
from lib.transport.geodesics import SoftCloud, mixup, soft_cloud

GEODESIC, NEURAL, UNIFORM, MIXUP, UNION, SUBPOOL = "geodesic", "neural geodesic", "uniform", "mixup", "union", "sub-pooling"
PSEUDO, FEW, NEAREST = "pseudo-labels", "few-shot", "1-NN"


def pretraining_sets(episode: Episode, hull: Hull, seeds: Seeds, neural: Hull | None = None) -> dict[str, SoftCloud]:
    """Every arm's pretraining data; nothing here knows a test image.

    geodesic: P_a at the hull's a*. uniform: equal weights. Each source alone, by its name. mixup: the same a*, independent
    draws in place of couplings. union: all sources pooled. sub-pooling: of the union, the nearest neighbour of each base
    point. pseudo-labels: the base itself, guessed labels and all. few-shot: the few labelled images alone. neural geodesic:
    as geodesic for the hull `neural`, where given. Sources keep their columns in the union of label sets; base labels take
    the first columns.
    """
    m, like = len(hull.sources), hull.metric.linear
    blocks = tuple(len(source.labels[0]) for source in hull.sources)
    placed = [_in_block(source, i, blocks) for i, source in enumerate(hull.sources)]
    best, whole = hull.best.weights, _union(placed)
    sets = {GEODESIC: hull.at(best)}
    sets[UNIFORM] = hull.at(like.new_full((m,), 1 / m))
    sets |= dict(zip(episode.sources, placed, strict=True))
    sets[MIXUP] = mixup(hull.sources, best, len(hull.base), seeds.child("mixup"))
    sets[UNION] = whole
    sets[SUBPOOL] = whole.take(torch.cdist(hull.base.features, whole.features).argmin(1))
    sets |= {PSEUDO: hull.base, FEW: soft_cloud(episode.few)}
    return sets if neural is None else sets | {NEURAL: neural.at(neural.best.weights)}


def stacked_sets(
    sets: Sequence[SoftCloud], width: int
) -> tuple[Float[Tensor, "N d"], Float[Tensor, "N L"], list[Int[Tensor, "_"]]]:
    """All sets under one another, labels filled with zeros to `width` columns, in float32; and the row numbers of each set."""
    x = torch.cat([cloud.features for cloud in sets]).float()
    y = torch.cat([_widened(cloud.labels, width) for cloud in sets]).float()
    ends = torch.tensor([len(cloud) for cloud in sets]).cumsum(0).tolist()
    return x, y, [torch.arange(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def label_width(sets: Mapping[str, SoftCloud]) -> int:
    """Columns that hold every arm's labels: those of all sources together, or the target's classes where they are more."""
    return max(cloud.labels.shape[1] for cloud in sets.values())


def _in_block(cloud: SoftCloud, i: int, blocks: tuple[int, ...]) -> SoftCloud:
    """A source with its labels in its own columns of the union."""
    before, after = sum(blocks[:i]), sum(blocks[i + 1 :])
    return SoftCloud(cloud.features, torch.nn.functional.pad(cloud.labels, (before, after)), cloud.mass, blocks)


def _union(placed: Sequence[SoftCloud]) -> SoftCloud:
    features, labels = (torch.cat([getattr(cloud, name) for cloud in placed]) for name in ("features", "labels"))
    return SoftCloud(features, labels, features.new_full((len(features),), 1 / len(features)), placed[0].blocks)


def _widened(labels: Float[Tensor, "n C"], width: int) -> Float[Tensor, "n L"]:
    return torch.nn.functional.pad(labels, (0, width - labels.shape[1]))
