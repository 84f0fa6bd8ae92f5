"""Transfer tasks on real images of grey levels: a target with few labels, and sources with label sets of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.data import make_domain, split_indices, tensors
from lib.seeds import Seeds
from lib.transport.labels import LabelledData, labelled

SIDE = 8  # pixels of scikit-learn's digits, to which the other collections are brought
INK = 0.1  # grey level from which a pixel belongs to the picture
PARTS = {"target": 0.3, "validation": 0.15, "test": 0.2, "source": 0.35}  # of every data set, so that no image plays two parts
ALL = tuple(range(10))


@dataclass(frozen=True)
class View:
    """A data set as a task sees it: which classes of it, under which generated domains, one after the other."""

    dataset: str
    classes: tuple[int, ...] = ALL
    domains: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """A target view and the named source views from which to transfer to it, all seen at `side` x `side` pixels."""

    target: View
    sources: Mapping[str, View]
    side: int = SIDE


LOW, HIGH = ALL[:5], ALL[5:]
TASKS: Mapping[str, Task] = {
    # Sources with disjoint label sets from one collection, target from another.
    "mnist-from-digits": Task(
        View("mnist-5k"),
        {
            "digits 0-4": View("digits", LOW),
            "digits 5-9": View("digits", HIGH),
            "inverted": View("digits", ALL, ("blur", "invert")),
        },
    ),
    # Disjoint thirds of the label set, all of one collection.
    "digits-from-thirds": Task(
        View("digits"),
        {
            "mnist 0-3": View("mnist-5k", ALL[:4]),
            "mnist 4-6": View("mnist-5k", ALL[4:7]),
            "mnist 7-9": View("mnist-5k", ALL[7:]),
        },
    ),
    # The suite's own suggestion: shifts of one collection, disjoint label sets, a second collection as third source.
    "rotated-digits": Task(
        View("digits", ALL, ("rotate-right",)),
        {
            "0-4 rotated": View("digits", LOW, ("rotate-left",)),
            "5-9 inverted": View("digits", HIGH, ("blur", "invert")),
            "mnist": View("mnist-5k"),
        },
    ),
    # As in the paper: whole collections, one of them foreign.
    "mnist": Task(
        View("mnist-5k"),
        {
            "digits": View("digits"),
            "fashion": View("fashion-mnist"),
            "rotated": View("digits", ALL, ("rotate-left",)),
        },
    ),
    "digits": Task(
        View("digits"),
        {
            "mnist": View("mnist-5k"),
            "fashion": View("fashion-mnist"),
            "inverted": View("mnist-5k", ALL, ("invert",)),
        },
    ),
    "fashion": Task(
        View("fashion-mnist"),
        {
            "mnist": View("mnist-5k"),
            "digits": View("digits"),
            "inverted": View("mnist-5k", ALL, ("invert",)),
        },
    ),
    # The paper's collections and its size. (In place of USPS, of which no pinned copy was found, stands KMNIST.)
    "mnist-from-all": Task(
        View("mnist"),
        {
            "letters": View("emnist-letters", tuple(range(26))),
            "fashion": View("fashion-mnist"),
            "hiragana": View("kmnist"),
        },
        side=32,
    ),
}


@dataclass(frozen=True, eq=False)
class Episode:
    """One draw of a task: all that a method may see.

    `few`: the labelled target images, k of each class. `pool` [n, 64]: target images without labels. `sources`: labelled.
    Features are rows of side^2 grey levels in 0..1. The images to score on are elsewhere: see `evaluation_set`.
    """

    few: LabelledData
    pool: Float[Tensor, "n d"]
    sources: Mapping[str, LabelledData]

    @property
    def base(self) -> LabelledData:
        """The base Q: the few labelled images, then the pool with the label of its nearest labelled image (1-NN)."""
        guess = nearest_labels(self.pool, self.few)
        return labelled(torch.cat([self.few.features, self.pool]), torch.cat([self.few.labels, guess]))


def nearest_labels(rows: Float[Tensor, "n d"], few: LabelledData) -> Int[Tensor, "n"]:
    """The class of the nearest labelled row: 1-NN."""
    return few.labels[torch.cdist(rows, few.features).argmin(1)]


def draw_episode(task: Task, seeds: Seeds, *, shots: int, pool_size: int, source_size: int, device: torch.device) -> Episode:
    """`shots` labelled target images of each class, `pool_size` others without labels, up to `source_size` of each source.

    Which images may be target, test or source is fixed by the data set alone; `seeds` chooses among them. Label sets are
    renumbered from 0 within each source, and stay apart: equal names of two sources are two classes.
    Errors: ValueError where there are too few target images; as `lib.data.tensors` where the data cannot be read.
    """
    images, labels = _part(task.target, "target", task.side)
    order = torch.from_numpy(seeds.child("target").numpy().permutation(len(labels)))
    few = torch.cat([order[labels[order] == c][:shots] for c in labels.unique()])
    rest = order[~torch.isin(order, few)][:pool_size]
    if len(few) < shots * len(task.target.classes) or len(rest) < pool_size:
        needed = f"{shots} of each class and {pool_size} more"
        raise ValueError(f"shots, pool_size: {task.target.dataset} has {len(labels)} target images, asked were {needed}")
    sources = {}
    for name, view in task.sources.items():
        x, y = _part(view, "source", task.side)
        size = min(source_size, len(y))
        rows = split_indices(len(y), {"source": size}, seeds.child("source", name), stratify=y)["source"]
        sources[name] = labelled(x[rows].to(device), y[rows])
    return Episode(labelled(images[few].to(device), labels[few]), images[rest].to(device), sources)


def evaluation_set(task: Task, part: str, device: torch.device) -> LabelledData:
    """The target's `test` images, for the final evaluation alone, or its `validation` images, for choosing settings.

    They are the same in every episode. ValueError for another part.
    """
    if part not in ("test", "validation"):
        raise ValueError(f"part: got {part!r}, allowed are test, validation")
    images, labels = _part(task.target, part, task.side)
    return labelled(images.to(device), labels)


def _part(view: View, part: str, side: int) -> tuple[Float[Tensor, "n d"], Int[Tensor, "n"]]:
    """Flat images and labels of one part of a view."""
    images, labels, parts = _sized_images(view.dataset, side)
    rows = parts[part][torch.isin(labels[parts[part]], torch.tensor(view.classes))]
    images = images[rows]
    for domain in view.domains:
        images = make_domain(images, domain, Seeds(0).child("domain", domain))
    return images.flatten(1), labels[rows]


@lru_cache(maxsize=4)
def _sized_images(dataset: str, side: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """A data set at side x side, and its division into parts, which no seed of a study changes."""
    images, labels = tensors(dataset, split="train")
    if side == SIDE and dataset == "fashion-mnist":  # as many as MNIST has here
        rows = split_indices(len(labels), {"some": 5000}, Seeds(0).child("fashion-mnist"), stratify=labels)["some"]
        images, labels = images[rows], labels[rows]
    parts = split_indices(len(labels), PARTS, Seeds(0).child("parts", dataset), stratify=labels)
    if images.shape[1] != side:
        images = shrink(images) if side == SIDE else resized(images, side)
    return images, labels, parts


def resized(images: Float[Tensor, "n h w"], side: int) -> Float[Tensor, "n s s"]:
    """Images at side x side by bilinear interpolation."""
    return torch.nn.functional.interpolate(images[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0]


def shrink(images: Float[Tensor, "n h w"]) -> Float[Tensor, "n 8 8"]:
    """Images made comparable with scikit-learn's digits: cut to a square around their ink, averaged to 8 x 8, brightest pixel 1.

    The square's side is the largest extent of ink in the data set's typical (95th percentile) image; it is centred on each
    image's ink, and black enters where it reaches over the edge. An area average keeps fractions of pixels.
    """
    ink = images > INK
    first, last = zip(*(_extent(ink.any(axis)) for axis in (2, 1)), strict=True)
    sides = torch.stack([end - start for start, end in zip(first, last, strict=True)]).amax(0)
    side = int(torch.quantile(sides.float(), 0.95).ceil())
    corners = [(start + end - side).div(2, rounding_mode="floor") for start, end in zip(first, last, strict=True)]
    padded = torch.nn.functional.pad(images, (side, side, side, side))
    steps = torch.arange(side) + side
    rows, columns = (corner[:, None] + steps for corner in corners)
    cut = padded[torch.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]
    weights = _area_weights(side, SIDE).to(images)
    small = weights @ cut @ weights.T
    return small / small.amax((1, 2), keepdim=True).clamp(min=INK)


def _extent(lit: Tensor) -> tuple[Tensor, Tensor]:
    """First lit position, and the one after the last, of each row of flags; the whole row where none is lit."""
    n = lit.shape[1]
    dark = ~lit.any(1)
    first = lit.int().argmax(1).masked_fill(dark, 0)
    last = (n - lit.flip(1).int().argmax(1)).masked_fill(dark, n)
    return first, last


def _area_weights(size: int, cells: int) -> Float[Tensor, "cells size"]:
    """Row i: the share of each pixel in cell i, when `size` pixels are divided into `cells` equal cells."""
    edges = torch.linspace(0, size, cells + 1, dtype=torch.float64)
    pixels = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return overlap.clamp(min=0) * cells / size
