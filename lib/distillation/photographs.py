"""The paper's own data: tasks on photographs in colour, kept as bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from lib.data.entries import find_entry
from lib.distillation.pixels import Pixels, stored_pixels
from lib.distillation.task import Task
from lib.distillation.whitening import Whitening

# Mean and standard deviation of each colour by which the reference code standardises, CIFAR-100 by those of CIFAR-10.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
AS_THEY_ARE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Photographs:
    """A collection of `lib.data` as squares of `side` pixels, of pictures whose shorter side has been brought to `resize`.

    `held_out`: the split that is the test part. `validation`: images that are split off the training split. `colours`: mean and
    sd of each channel. `whiten`: by ZCA, in place of those. `resident`: images fit the memory and the device; else they stay in
    their file.
    """

    collection: str
    held_out: str
    side: int
    resize: int
    validation: int
    colours: tuple[tuple[float, ...], tuple[float, ...]]
    whiten: bool = False
    resident: bool = True


PHOTOGRAPHS: Mapping[str, Photographs] = {
    "cifar10": Photographs("cifar10", "test", 32, 32, 5000, AS_THEY_ARE, whiten=True),
    "cifar100": Photographs("cifar100", "test", 32, 32, 5000, CIFAR),
    "tiny-imagenet": Photographs("tiny-imagenet", "valid", 64, 64, 10000, IMAGENET),
    # 201 GB of pixels, beside twice the 166 GB of the pictures.
    "imagenet": Photographs("imagenet", "validation", 224, 256, 10000, IMAGENET, resident=False),
}


def load_photographs(name: str, train_size: int | None, device: torch.device) -> Task:
    """A task of `PHOTOGRAPHS`: the validation part is the same whatever the training size, which is all the rest unless given.

    Classes are in proportion in every part. Errors: ValueError for a training size that the task does not have;
    DataUnavailable where the collection cannot be had.
    """
    source = PHOTOGRAPHS[name]
    least, most = source.validation, find_entry(source.collection).splits["train"] - source.validation
    if train_size is not None and not 1 <= train_size <= most:
        raise ValueError(
            f"train_size: got {train_size}, allowed for task {name!r} are 1 to {most}, {least} more are for validation"
        )
    return _loaded(name, source, most if train_size is None else train_size, device)


@lru_cache(maxsize=1)  # each draw asks for it again, and a second copy may not fit the device
def _loaded(name: str, source: Photographs, train_size: int, device: torch.device) -> Task:
    learnt, held_out = (
        stored_pixels(source.collection, split, side=source.side, resize=source.resize) for split in ("train", source.held_out)
    )
    v = source.validation
    parts = {"train": slice(v, v + train_size), "validation": slice(0, v)}
    found = {part: _part(learnt, rows) for part, rows in parts.items()} | {"test": _part(held_out, slice(None))}
    where = device if source.resident else torch.device("cpu")
    images = {part: x.to(where) for part, (x, _) in found.items()}
    whitening = Whitening.of(images["train"]) if source.whiten else None
    mean, sd = source.colours
    tables = {f"x_{part}": x if whitening is None else whitening(x) for part, x in images.items()}
    tables |= {f"y_{part}": y.to(device) for part, (_, y) in found.items()}
    return Task(name, (3, source.side, source.side), learnt.class_names, mean, sd, **tables, whitening=whitening)


def _part(pixels: Pixels, rows: slice) -> tuple[UInt8[Tensor, "n 3 side side"], Int64[Tensor, "n"]]:
    """Some rows, still in their file, and their classes."""
    return torch.from_numpy(pixels.images[rows]), torch.from_numpy(pixels.labels[rows])
