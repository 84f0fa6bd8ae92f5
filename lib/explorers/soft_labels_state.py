"""What the explorer of the soft-labels study is given, what a reader can choose, and what is then to be seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from lib.distillation import labels as rules
from lib.explorers.soft_labels_curves import Curve, Nearest, away, curves

TEMPERATURE = (0.5, 16.0)
Train = Callable[[Tensor], float | Sequence[float] | Tensor]


@dataclass(frozen=True, eq=False)
class Scene:
    """Few images, one expert's logits for them, and what a study measured with such labels; made and checked by `Scene.of`.

    Accuracies in %, budgets in images per class. `students`: (epoch, temperature) -> curve over budgets. `hard`: the same curve
    for hard labels. `swap`: budget -> curve over k, 0 being no swap. `top`: (budget, epoch) -> curve over k.
    `zero`: (budget, or 0 where it was not said; subject) -> a point for each arm. `measured_with`: which labels `swap` and
    `zero` are of. `train`: labels [n C] -> accuracy of students trained with them on these images.
    """

    images: Float[Tensor, "n h w *rgb"]
    labels: Int64[Tensor, "n"]
    class_names: tuple[str, ...]
    logits: Float[Tensor, "E n C"]
    epochs: tuple[int, ...]
    expert_accuracy: tuple[float, ...]
    students: Mapping[tuple[int, float], Curve]
    hard: Curve
    swap: Mapping[int, Curve]
    top: Mapping[tuple[int, int], Curve]
    zero: Mapping[tuple[int, int], Curve]
    measured_with: str
    train: Train | None

    @classmethod
    def of(
        cls,
        images: Float[Tensor, "n h w *rgb"],
        labels: Int64[Tensor, "n"],
        class_names: Sequence[str],
        logits: Float[Tensor, "E n C"],
        epochs: Sequence[int],
        expert_accuracy: Sequence[float] | Tensor,
        students: pd.DataFrame,
        hard: pd.DataFrame,
        *,
        swap: pd.DataFrame | None = None,
        top: pd.DataFrame | None = None,
        zero: pd.DataFrame | None = None,
        measured_with: str = "",
        train: Train | None = None,
    ) -> "Scene":
        """The scene of images in 0..1 and of frames with the columns accuracy, low, high and these keys:

        `students`: ipc, epoch, temperature. `hard`: ipc. `swap`: ipc, k, with k = 0 for labels left as they are. `top`: ipc,
        epoch, k, with k = 0 for hard labels. `zero`: subject, arm, and ipc where several budgets were measured. What was not
        measured may be left out. `train` gives one accuracy, or one for each of its students, the same ones in every call.
        Errors: ValueError for the first of these that does not fit the others, with what would.
        """
        names, expert = tuple(str(name) for name in class_names), [float(value) for value in expert_accuracy]
        _check_images(images, labels, names, logits)
        _check_epochs(epochs, expert, logits)
        swaps = curves("swap", swap, ["ipc"], "k", len(names))
        if bare := [ipc for ipc, curve in swaps.items() if curve[0].at != 0]:
            raise ValueError(f"swap: got no k = 0 for ipc {bare[0]}, allowed are curves with their control, labels as they are")
        by = ["ipc", "subject"] if zero is not None and "ipc" in zero else ["subject"]
        zeros = curves("zero", zero, by, "arm", len(names))
        return cls(
            images=images, labels=labels, class_names=names, logits=logits.double(),
            epochs=tuple(int(epoch) for epoch in epochs), expert_accuracy=tuple(expert),
            students=curves("students", students, ["epoch", "temperature"], "ipc", len(names)),
            hard=curves("hard", hard, [], "ipc", len(names))[()],
            swap=swaps, top=curves("top", top, ["ipc", "epoch"], "k", len(names)),
            zero={key if len(by) == 2 else (0, key): curve for key, curve in zeros.items()},
            measured_with=measured_with, train=train,
        )  # fmt: skip

    @property
    def classes(self) -> int:
        """C."""
        return len(self.class_names)

    @property
    def budgets(self) -> tuple[int, ...]:
        """Budgets at which students were measured, ascending."""
        return tuple(sorted({point.at for curve in (self.hard, *self.students.values()) for point in curve}))

    @property
    def subjects(self) -> tuple[int, ...]:
        """Classes whose images or labels were taken away, ascending."""
        return tuple(sorted({subject for _, subject in self.zero}))

    @property
    def first(self) -> "State":
        """The state to begin with: an expert half way, its least certain label, and the budget nearest to the images here."""
        epoch = (len(self.epochs) - 1) // 2
        here = len(self.labels) / self.classes
        return State(
            epoch=self.epochs[epoch],
            top=self.classes,
            ipc=min(self.budgets, key=lambda ipc: away(ipc, here)),
            image=int(rules.entropy(rules.soften(self.logits[epoch])).argmax()),
            subject=self.subjects[0] if self.zero else 0,
        )


def _check_images(images: Tensor, labels: Tensor, names: Sequence[str], logits: Tensor) -> None:
    shaped = images.dim() == 3 or (images.dim() == 4 and images.shape[3] == 3)
    if not shaped or not len(images) or not (images.isfinite().all() and images.min() >= 0 and images.max() <= 1):
        allowed = "one or more [n h w] of grey levels in 0..1, or [n h w 3] of colours"
        raise ValueError(f"images: got shape {tuple(images.shape)}, allowed are {allowed}")
    if len(labels) != len(images):
        raise ValueError(f"labels: got {len(labels)} for {len(images)} images, allowed is one for each")
    if len(set(names)) < len(names):
        raise ValueError(f"class_names: got {', '.join(names)}, allowed are different ones")
    rules.hard(labels, len(names))
    if tuple(logits.shape[1:]) != (len(images), len(names)) or not logits.isfinite().all():
        allowed = f"finite ones of [epochs, {len(images)}, {len(names)}], the images and the class names"
        raise ValueError(f"logits: got shape {tuple(logits.shape)}, allowed are {allowed}")


def _check_epochs(epochs: Sequence[int], expert: Sequence[float], logits: Tensor) -> None:
    if len(epochs) != len(logits) or not len(epochs) or epochs[0] < 0 or any(a >= b for a, b in pairwise(epochs)):
        allowed = f"{len(logits)} ascending whole numbers >= 0, one for each logits"
        raise ValueError(f"epochs: got {list(epochs)}, allowed are {allowed}")
    if len(expert) != len(epochs) or not all(0 <= value <= 100 for value in expert):
        raise ValueError(f"expert_accuracy: got {expert}, allowed are {len(epochs)} of 0 to 100 %, one for each epoch")


@dataclass(frozen=True)
class State:
    """A reader's choices: labels softmax(z / T) of an expert's epoch, then swapped, then cut to the largest; and what to look at.

    `swap`: the k-th largest entry changes places with the smallest, 0 for none. `top`: how many entries are kept, C for all, 0
    for hard labels. `image`: row looked at. `ipc`: budget looked at. `subject`: class looked at without its images or labels.
    """

    epoch: int
    top: int
    ipc: int
    temperature: float | int = 1.0
    swap: int = 0
    image: int = 0
    subject: int = 0


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of a state: `now` [n, C] as set, `before` they were swapped or cut, `past` [E, n, C] of every epoch's expert.

    `entropies` [n] in nats. `wrong` [n]: the largest entry is another class's than the true one.
    """

    now: Float[Tensor, "n C"]
    before: Float[Tensor, "n C"]
    past: Float[Tensor, "E n C"]
    entropies: Float[Tensor, "n"]
    wrong: Bool[Tensor, "n"]


@dataclass(frozen=True)
class Bar:
    """A class's share of a label: as set, `before` it was swapped or cut, and `past` [E] with every epoch's expert."""

    name: str
    share: float
    before: float
    past: tuple[float, ...]
    true: bool


@dataclass(frozen=True, eq=False)
class Frame:
    """What is to be seen in one state; measured curves are None where nothing of their kind was measured.

    `bars`: the chosen image's label, class by class or, where classes are many, the largest of them. `leak` [C]: the mean
    share that the labels of each other class's images give to the subject, 0 for its own and for classes without images.
    """

    state: State
    labels: Labels
    bars: tuple[Bar, ...]
    bought: Nearest
    swap: Nearest | None
    top: Nearest | None
    zero: Nearest | None
    leak: Float[Tensor, "C"]


@dataclass(frozen=True)
class Trained:
    """Students trained now with the labels of a state, and with hard ones: an accuracy for each student, and the seconds."""

    state: State
    soft: tuple[float, ...]
    hard: tuple[float, ...]
    seconds: float

    @property
    def gains(self) -> tuple[float, ...]:
        """Points above hard labels, student by student."""
        return tuple(soft - hard for soft, hard in zip(self.soft, self.hard, strict=True))
