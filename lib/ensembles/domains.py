"""The data of the weight-ensembles study: one set of images in several domains, split so that nothing leaks."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lib.data import load, make_domain, split_indices, tensors
from lib.seeds import Seeds

PARTS = {"train": 0.5, "val": 0.22, "test": 0.28}
BASE_IMAGES = 6000  # larger sets are sampled down to this: what decides here is the number of domains, not of images
SIDE = 224  # pixels of an Office-Home image once it is read


@dataclass(frozen=True, eq=False)
class Domains:
    """Images and labels by domain and part. `generated`: all domains show the same base images, seen differently."""

    parts: Mapping[str, Mapping[str, tuple[Tensor, Tensor]]]
    n_classes: int
    generated: bool

    def pooled(self, names: list[str], part: str) -> tuple[Tensor, Tensor]:
        """One part of several domains, one after the other."""
        images, labels = zip(*(self.parts[name][part] for name in names), strict=True)
        return torch.cat(images), torch.cat(labels)

    def splits(self, held_out: str) -> dict[str, tuple[Tensor, Tensor]]:
        """What an experiment sees when one domain is held out.

        train, id_val, id_test: the parts of the other domains. ood: the held-out domain, all of it where its images are its own;
        only its test part where it shows the same base images as the others, so that no base image was trained on.
        """
        if held_out not in self.parts:
            raise ValueError(f"held_out: got {held_out!r}, allowed: {', '.join(self.parts)}")
        inside = [name for name in self.parts if name != held_out]
        outside = ["test"] if self.generated else list(PARTS)
        pieces = [self.parts[held_out][part] for part in outside]
        return {
            "train": self.pooled(inside, "train"),
            "id_val": self.pooled(inside, "val"),
            "id_test": self.pooled(inside, "test"),
            "ood": (torch.cat([x for x, _ in pieces]), torch.cat([y for _, y in pieces])),
        }


def read_domains(dataset: str, names: list[str], seeds: Seeds, device: torch.device) -> Domains:
    """Images of `dataset` in every domain of `names`, split 50 / 22 / 28 % into train, val and test.

    Digits, MNIST and Fashion-MNIST get generated domains: the base images are split once, then every domain is made of
    all of them, once. Office-Home has four real domains, each split by itself. Raises DataUnavailable where the data is.
    """
    return _photographs(dataset, names, seeds, device) if dataset == "office-home" else _shifted(dataset, names, seeds, device)


def _shifted(dataset: str, names: list[str], seeds: Seeds, device: torch.device) -> Domains:
    images, labels = tensors(dataset, split="train" if dataset == "fashion-mnist" else None)
    if len(images) > BASE_IMAGES:
        chosen = split_indices(len(images), {"base": BASE_IMAGES}, seeds.child("base images"), stratify=labels)["base"]
        images, labels = images[chosen], labels[chosen]
    rows = split_indices(len(images), PARTS, seeds.child("split"), stratify=labels)
    seen = {name: make_domain(images, name, seeds.child("domain", name)).to(device) for name in names}
    labels = labels.to(device)
    parts = {name: {part: (seen[name][row], labels[row]) for part, row in rows.items()} for name in names}
    return Domains(parts, int(labels.max()) + 1, generated=True)


def _photographs(dataset: str, names: list[str], seeds: Seeds, device: torch.device) -> Domains:
    table = load(dataset)
    kinds = table.features["domain"]
    parts = {}
    for name in names:
        wanted = kinds.str2int(name) if hasattr(kinds, "str2int") else name
        rows = [i for i, kind in enumerate(table["domain"]) if kind == wanted]
        labels = torch.tensor(table.select(rows)["label"])
        images = torch.stack([_pixels(picture) for picture in table.select(rows)["image"]])
        split = split_indices(len(rows), PARTS, seeds.child("split", name), stratify=labels)
        parts[name] = {part: (images[row].to(device), labels[row].to(device)) for part, row in split.items()}
    return Domains(parts, table.features["label"].num_classes, generated=False)


def _pixels(picture: object) -> Tensor:
    """A photograph as bytes [3, SIDE, SIDE]; a quarter of the memory of floats, scaled by the net."""
    import numpy as np

    small = picture.convert("RGB").resize((SIDE, SIDE))  # type: ignore[attr-defined]
    return torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)
