"""One tree of random generators: study / repeat / component, so that the same seed gives the same numbers."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def _key(name: str | int) -> int:
    """A stable 32-bit key; Python's own hash() changes from process to process."""
    return int.from_bytes(hashlib.sha256(repr(name).encode()).digest()[:4], "big")


@dataclass(frozen=True)
class Seeds:
    """A node of the seed tree. Children are named, so adding one never shifts the numbers of another.

    >>> Seeds(0).child("repeat", 3).child("member", 1) == Seeds(0).child("repeat", 3, "member", 1)
    True
    """

    root: int
    path: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.root, bool) or not isinstance(self.root, int) or self.root < 0:
            raise ValueError(f"seed: got {self.root!r}, allowed are whole numbers >= 0")

    def child(self, *names: str | int) -> "Seeds":
        """The node reached from this one by `names`."""
        return Seeds(self.root, self.path + names)

    def sequence(self) -> np.random.SeedSequence:
        """The node's entropy: the root seed, spawned along the path."""
        return np.random.SeedSequence(self.root, spawn_key=tuple(_key(name) for name in self.path))

    def integer(self) -> int:
        """A 63-bit seed, for libraries that want a plain number."""
        return int(self.sequence().generate_state(1, np.uint64)[0] >> np.uint64(1))

    def numpy(self) -> np.random.Generator:
        """A fresh NumPy generator at the start of this node's stream."""
        return np.random.default_rng(self.sequence())

    def torch(self, device: "torch.device | str" = "cpu") -> "torch.Generator":
        """A fresh torch generator on `device` at the start of this node's stream."""
        import torch

        return torch.Generator(device=device).manual_seed(self.integer())
