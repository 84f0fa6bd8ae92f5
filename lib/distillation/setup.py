"""What fixes a soft-label experiment, but for the seed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from lib.devices import pick_device
from lib.distillation.augmentation import crops, dsa
from lib.distillation.photographs import PHOTOGRAPHS
from lib.distillation.pool import check_task
from lib.distillation.resnet import ResNet
from lib.distillation.students import SCHEDULES
from lib.distillation.task import Task
from lib.nets import MLP, Net
from lib.nets.normed_convnet import NormedConvNet
from lib.population import Augment

AUGMENTATIONS = {"none": None, "dsa": dsa, "crops": crops}
NETS = ("mlp", "convnet", "resnet18", "resnet50")


@dataclass(frozen=True)
class Setup:
    """The fields are those of the study's schema with the same names.

    `task`: a name that `load_task` knows, with `train_size` images for training (0: as many as it has). `draws`: independent
    repeats, each with its own expert and its own images. `ipcs`: budgets, in images per class. `epochs`: after which experts
    are kept; `expert_lrs`: their learning rates, of which the last is the main one; `expert_batch`: their batches. `width`,
    `depth`: hidden units and hidden layers of experts and students. `temperatures`: that labels are softened by, beside 1.
    `steps`, `batch_size`, `momentum`, `weight_decay`: of students. `lrs`: rates that every student is trained with; the one
    best on validation counts. `structure_ipcs`: budgets at which labels are taken apart; `structure_epoch`: whose labels, 0 for
    the epoch best on validation. `top_ks`: numbers of probabilities kept. `subjects`: classes to leave out in turn.
    `learned_steps`: outer steps of learning labels, 0 leaves it out. `members_at_once`: networks in one batch.
    `net`: kind of experts and students; `width` and `depth` are channels and blocks of a convnet, and `width` the channels of a
    ResNet's first stage. `augmentation`, `optimiser`: of students, whose rate falls as `train_students` says.
    `expert_augmentation`, `expert_momentum`, `expert_weight_decay`: the same of experts, whose rate falls to a tenth after every
    `expert_decay_every` epochs, 0 keeps it. `prototypes`: whether students of prototypes are trained as well.
    `views`: CutMix views of each image, made once, each with a label of its own, 0 leaves them out. `bins`: of images by their
    difficulty, at the last of structure_ipcs, 0 leaves them out.
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
    net: str = "mlp"
    augmentation: str = "none"
    optimiser: str = "sgd"
    expert_augmentation: str = "none"
    expert_momentum: float = 0.0
    expert_weight_decay: float = 0.0
    expert_decay_every: int = 0
    prototypes: bool = True
    views: int = 0
    bins: int = 0

    def __post_init__(self) -> None:
        check_task(self.task)
        for name in ("ipcs", "epochs", "structure_ipcs"):
            values = getattr(self, name)
            if not values or values[0] < 1 or any(a >= b for a, b in pairwise(values)):
                raise ValueError(f"{name}: got {list(values)}, allowed are ascending whole numbers >= 1, one or more")
        for name in ("expert_lrs", "lrs"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}: got {list(values)}, allowed are different rates, one or more")
        self._check_kinds()
        if 1 in self.temperatures:
            raise ValueError(f"temperatures: got {list(self.temperatures)}, allowed are others than 1, which is always there")
        if not set(self.structure_ipcs) <= set(self.ipcs):
            raise ValueError(f"structure_ipcs: got {list(self.structure_ipcs)}, allowed are some of ipcs = {list(self.ipcs)}")
        if self.structure_epoch not in (0, *self.epochs):
            raise ValueError(f"structure_epoch: got {self.structure_epoch}, allowed are 0 and epochs = {list(self.epochs)}")

    def _check_kinds(self) -> None:
        """The kinds of net, task, optimiser and augmentation fit each other."""
        photographs = PHOTOGRAPHS.get(self.task)
        nets = NETS[:2] if photographs is None else NETS[1:] if photographs.resident else NETS[2:]
        if self.net not in nets:
            raise ValueError(f"net: got {self.net!r}, allowed with task {self.task!r}: {', '.join(nets)}")
        for name, known in (("augmentation", ("none", "dsa")), ("expert_augmentation", AUGMENTATIONS), ("optimiser", SCHEDULES)):
            if (value := getattr(self, name)) not in known:
                raise ValueError(f"{name}: got {value!r}, allowed are {', '.join(known)}")
        if self.optimiser == "adamw" and self.momentum:
            raise ValueError(f"momentum: got {self.momentum:g}, allowed with optimiser 'adamw' is 0")
        if self.learned_steps and photographs is not None:
            raise ValueError(f"learned_steps: got {self.learned_steps}, allowed with task {self.task!r} is 0")

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Setup":
        """Pick the fields of a setup out of a study's parameters.

        The device auto is decided here, once, so that draws that run elsewhere run on the same kind of device.
        """
        given = {field.name: params[field.name] for field in fields(cls) if field.name in params}
        given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return cls(**given | ({"device": pick_device("auto").type} if given["device"] == "auto" else {}))

    @property
    def main_lr(self) -> float:
        """Learning rate of the main experts."""
        return self.expert_lrs[-1]

    def network(self, task: Task) -> Net:
        """The network of experts and students."""
        if self.net == "mlp":
            return MLP((task.pixels, *[self.width] * self.depth, task.classes))
        colours = {"mean": task.mean, "sd": task.sd} if task.colour else {}
        if self.net == "convnet":
            return NormedConvNet(task.channels, self.width, task.classes, self.depth, **colours)
        return ResNet(int(self.net.removeprefix("resnet")), self.width, task.classes, **colours)

    def expert_recipe(self, task: Task) -> dict[str, Any]:
        """How `train_experts` is to train, but for its rate."""
        return {
            "batch_size": self.expert_batch, "momentum": self.expert_momentum, "weight_decay": self.expert_weight_decay,
            "decay_every": self.expert_decay_every, "augment": _augment(self.expert_augmentation, task),
        }  # fmt: skip

    def student_recipe(self, task: Task) -> dict[str, Any]:
        """How `train_students` is to train, but for its rates and steps."""
        return {
            "batch_size": self.batch_size, "momentum": self.momentum, "weight_decay": self.weight_decay,
            "optimiser": self.optimiser, "augment": _augment(self.augmentation, task),
        }  # fmt: skip


def _augment(name: str, task: Task) -> Augment | None:
    make = AUGMENTATIONS[name]
    return None if make is None else make(task.channels)
