"""Classification tasks on real images, and the few images of each class that students are given."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int, Int64, Shaped
from torch import Tensor
from torch.nn.functional import avg_pool2d

from lib.data import load, split_indices, tensors
from lib.distillation.photographs import PHOTOGRAPHS, load_photographs
from lib.distillation.task import Task
from lib.seeds import Seeds

CPU = torch.device("cpu")
# Images of each part of a collection. Held-out parts come first, so that no training size moves them.
PARTS: Mapping[str, Mapping[str, int]] = {
    "digits": {"validation": 297, "test": 500, "train": 1000},
    "mnist-5k": {"validation": 1000, "test": 1000, "train": 3000},
    "fashion-mnist": {"validation": 2000, "test": 5000, "train": 58000},
}
PAIRS_HELD_OUT = {"validation": 2000, "test": 5000}
MOST_PAIRS = 1000  # of each class; the smallest collection has more than nine thousand


@dataclass(frozen=True)
class Source:
    """What a task shows: one collection, or two side by side; `train_size` images for training unless asked otherwise.

    `first`: of how many classes of each, from the first on; less than all only where there are two.
    """

    collections: tuple[str, ...]
    train_size: int
    first: int = 10

    @property
    def classes(self) -> int:
        """C: those of the collection (ten in each of ours), or every pair of two."""
        return self.first ** len(self.collections)


TASKS: Mapping[str, Source] = {
    "digits": Source(("digits",), 1000),
    "mnist": Source(("mnist-5k",), 3000),
    "fashion": Source(("fashion-mnist",), 10000),
    # A hundred classes in which likeness lives in the images: class 10 f + m is garment f beside digit m.
    "pairs": Source(("fashion-mnist", "mnist-5k"), 20000),
    # Fewer classes of the same kind of images, as many of each class: what changes is the number of classes.
    "pairs-4": Source(("fashion-mnist", "mnist-5k"), 800, first=2),
    "pairs-9": Source(("fashion-mnist", "mnist-5k"), 1800, first=3),
    "pairs-25": Source(("fashion-mnist", "mnist-5k"), 5000, first=5),
    "pairs-49": Source(("fashion-mnist", "mnist-5k"), 9800, first=7),
    # The same for machines without Fashion-MNIST: class 10 a + b is digit a beside digit b.
    "digit-pairs": Source(("digits", "digits"), 20000),
}


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images in grey levels 0..1 with their classes."""

    images: Float[Tensor, "n h w"]
    labels: Int64[Tensor, "n"]


def load_task(name: str, *, train_size: int | None = None, device: torch.device = CPU) -> Task:
    """A named task of `TASKS` or `PHOTOGRAPHS`, the same images for everybody: the collections alone fix which are in which part.

    Grey images of 28 x 28 pixels are averaged to 14 x 14. `train_size` shortens or lengthens the training part, with the classes
    in proportion; a pair's images may recur in other pairs of the same part, but no pair does.
    Errors: ValueError for an unknown name or a training size that the task does not have; as `lib.data.tensors` where the
    data cannot be read.
    """
    check_task(name)
    if name in PHOTOGRAPHS:
        return load_photographs(name, train_size, device)
    source = TASKS[name]
    make = _pairs_of if len(source.collections) == 2 else _single
    parts, class_names = make(name, source, source.train_size if train_size is None else train_size)
    sd, mean = (float(value) for value in torch.std_mean(parts["train"].images))
    tables = {}
    for part, found in parts.items():
        tables[f"x_{part}"] = ((found.images.flatten(1) - mean) / sd).to(device)
        tables[f"y_{part}"] = found.labels.to(device)
    return Task(name, tuple(parts["train"].images.shape[1:]), class_names, mean, sd, **tables)


def check_task(name: str) -> None:
    """ValueError, with the names that are known, for another one."""
    if name not in TASKS and name not in PHOTOGRAPHS:
        raise ValueError(f"task: got {name!r}, allowed are {', '.join((*TASKS, *PHOTOGRAPHS))}")


def nested_draw(labels: Shaped[Tensor, "n"], ipcs: Sequence[int], seeds: Seeds) -> dict[int, Int64[Tensor, "_"]]:
    """Row numbers of `ipc` random images of each class, grouped by class, for each ipc in `ipcs`.

    One random order of each class serves all sizes, so that the smaller sets are subsets of the larger ones.
    Errors: ValueError for labels that are no class numbers, classes without images, and for ipc < 1 or > the smallest class.
    """
    if labels.is_floating_point() or labels.dtype == torch.bool or len(labels) == 0 or labels.min() < 0:
        raise ValueError(f"labels: got {len(labels)} of dtype {labels.dtype}, allowed are whole numbers >= 0, one or more")
    counts = labels.bincount().tolist()
    for ipc in ipcs:
        if not 1 <= ipc <= min(counts):
            c = counts.index(min(counts))
            raise ValueError(f"ipc: got {ipc}, allowed are 1 to {min(counts)}, the images of class {c} (the smallest)")
    orders = []
    for c, count in enumerate(counts):
        order = torch.from_numpy(seeds.child("class", c).numpy().permutation(count))
        orders.append((labels.cpu() == c).nonzero().flatten()[order])
    return {ipc: torch.cat([order[:ipc] for order in orders]) for ipc in ipcs}


def fingerprint(rows: Int[Tensor, "n"]) -> str:
    """Twelve hexadecimal digits of the sha256 of the row numbers in their order: equal for arms on the same images."""
    return hashlib.sha256(rows.cpu().long().numpy().tobytes()).hexdigest()[:12]


def _single(name: str, source: Source, train_size: int) -> tuple[dict[str, Labelled], tuple[str, ...]]:
    """The parts of a task on one collection, and the names of its classes."""
    (collection,) = source.collections
    class_names, most = _class_names(collection), PARTS[collection]["train"]
    if not len(class_names) <= train_size <= most:
        raise ValueError(f"train_size: got {train_size}, allowed for task {name!r} are {len(class_names)} to {most}")
    return _collection(collection, train_size), class_names


def _pairs_of(name: str, source: Source, train_size: int) -> tuple[dict[str, Labelled], tuple[str, ...]]:
    """The parts of a task on two collections side by side, and the names of its classes; as many pairs of each class."""
    left, right = (_collection(collection, PARTS[collection]["train"]) for collection in source.collections)
    names = [_class_names(collection)[: source.first] for collection in source.collections]
    class_names = tuple(f"{a}, {b}" for a in names[0] for b in names[1])
    each, rest = divmod(train_size, count := len(class_names))
    if rest or not 1 <= each <= MOST_PAIRS:
        allowed = f"multiples of {count} from {count} to {count * MOST_PAIRS}"
        raise ValueError(f"train_size: got {train_size}, allowed for task {name!r} are {allowed}")
    sizes = {"train": train_size} | PAIRS_HELD_OUT
    seeds, parts = Seeds(0).child("pairs", name), {}
    for part, size in sizes.items():
        parts[part] = _pairs(left[part], right[part], source.first, size // count, seeds.child(part))
    return parts, class_names


def _pairs(left: Labelled, right: Labelled, first: int, each: int, seeds: Seeds) -> Labelled:
    """`each` different pairs of each of the `first` classes of `left` and of `right`, drawn from all combinations."""
    rng, rows = seeds.numpy(), []
    rights = [(right.labels == m).nonzero().flatten() for m in range(first)]
    for f in range(first):
        lefts = (left.labels == f).nonzero().flatten()
        for others in rights:
            drawn = torch.from_numpy(rng.choice(len(lefts) * len(others), each, replace=False))
            rows.append(torch.stack([lefts[drawn // len(others)], others[drawn % len(others)]]))
    a, b = torch.cat(rows, dim=1)
    return Labelled(torch.cat([left.images[a], right.images[b]], dim=2), left.labels[a] * len(rights) + right.labels[b])


def _collection(name: str, train_size: int) -> dict[str, Labelled]:
    """A collection's parts: validation and train out of its split train, test out of test where it has one."""
    sizes = dict(PARTS[name]) | {"train": train_size}
    splits = {"train": sizes}
    if name == "fashion-mnist":
        splits = {"train": {part: size for part, size in sizes.items() if part != "test"}, "test": {"test": sizes["test"]}}
    parts = {}
    for split, wanted in splits.items():
        found = _images(name, split)
        rows = split_indices(len(found.labels), wanted, Seeds(0).child("parts", name, split), stratify=found.labels)
        parts |= {part: Labelled(found.images[which], found.labels[which]) for part, which in rows.items()}
    return {part: parts[part] for part in ("train", "validation", "test")}


@lru_cache(maxsize=4)
def _images(collection: str, split: str) -> Labelled:
    """A split of a collection, 28 x 28 pixels averaged to 14 x 14."""
    images, labels = tensors(collection, split)
    return Labelled(avg_pool2d(images, 2) if images.shape[1] == 28 else images, labels)


def _class_names(collection: str) -> tuple[str, ...]:
    return tuple(load(collection, "train").features["label"].names)
