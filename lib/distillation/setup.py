"""What fixes a soft-label experiment, but for the seed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from lib.devices import pick_device
from lib.distillation.pool import TASKS, Task
from lib.nets import MLP


@dataclass(frozen=True)
class Setup:
    """The fields are those of the study's schema with the same names.

    `task`: a name in `TASKS`, with `train_size` images in its training part (0: as many as the task says). `draws`: independent
    repeats, each with its own expert and its own images. `ipcs`: budgets, in images per class. `epochs`: after which experts
    are kept; `expert_lrs`: their learning rates, of which the last is the main one; `expert_batch`: their batches. `width`,
    `depth`: hidden units and hidden layers of experts and students. `temperatures`: that labels are softened by, beside 1.
    `steps`, `batch_size`, `momentum`, `weight_decay`: of students. `lrs`: rates that every student is trained with; the one
    best on validation counts. `structure_ipcs`: budgets at which labels are taken apart; `structure_epoch`: whose labels, 0 for
    the epoch best on validation. `top_ks`: numbers of probabilities kept. `subjects`: classes to leave out in turn.
    `learned_steps`: outer steps of learning labels, 0 leaves it out. `members_at_once`: networks in one batch.
    Errors: ValueError naming the first field that does not fit the others.
    """

    task: str
    train_size: int
    draws: int
    ipcs: tuple[int, ...]
    epochs: tuple[int, ...]
    expert_lrs: tuple[float, ...]
    expert_batch: int
    width: int
    depth: int
    temperatures: tuple[float, ...]
    steps: int
    batch_size: int
    lrs: tuple[float, ...]
    momentum: float
    weight_decay: float
    structure_ipcs: tuple[int, ...]
    structure_epoch: int
    top_ks: tuple[int, ...]
    subjects: int
    learned_steps: int
    members_at_once: int
    device: str

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task: got {self.task!r}, allowed are {', '.join(TASKS)}")
        for name in ("ipcs", "epochs", "structure_ipcs"):
            values = getattr(self, name)
            if not values or values[0] < 1 or any(a >= b for a, b in pairwise(values)):
                raise ValueError(f"{name}: got {list(values)}, allowed are ascending whole numbers >= 1, one or more")
        for name in ("expert_lrs", "lrs"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}: got {list(values)}, allowed are different rates, one or more")
        if 1 in self.temperatures:
            raise ValueError(f"temperatures: got {list(self.temperatures)}, allowed are others than 1, which is always there")
        if not set(self.structure_ipcs) <= set(self.ipcs):
            raise ValueError(f"structure_ipcs: got {list(self.structure_ipcs)}, allowed are some of ipcs = {list(self.ipcs)}")
        if self.structure_epoch not in (0, *self.epochs):
            raise ValueError(f"structure_epoch: got {self.structure_epoch}, allowed are 0 and epochs = {list(self.epochs)}")

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Setup":
        """Pick the fields of a setup out of a study's parameters.

        The device auto is decided here, once, so that draws that run elsewhere run on the same kind of device.
        """
        given = {field.name: params[field.name] for field in fields(cls)}
        given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return cls(**given | ({"device": pick_device("auto").type} if given["device"] == "auto" else {}))

    @property
    def main_lr(self) -> float:
        """Learning rate of the main experts."""
        return self.expert_lrs[-1]

    def net(self, task: Task) -> MLP:
        """The network of experts and students."""
        return MLP((task.x_train.shape[1], *[self.width] * self.depth, task.classes))
