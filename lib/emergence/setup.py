"""What fixes a study of seed populations, but for the seed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from lib.devices import pick_device
from lib.emergence.addition import Addition
from lib.emergence.count import Count
from lib.emergence.tasks import Task
from lib.nets import Decoder

TASKS = ("count", "addition")


@dataclass(frozen=True)
class Setup:
    """The fields are those of the study's schema with the same names.

    `task`: count or addition. `scale`: whether `scales` are widths, at `layers` layers, or numbers of layers, at `width`.
    `members`: seeds at each scale, each with its own start and its own order of the data. `head_width`: numbers in an attention
    head. `positions`: none, rotary or learned; `rotary_share`: of a head's dimensions that turn. `steps`, `batch_size` (rows),
    `lr` (at the smallest scale; `lr_power`: it falls as scale to this power), `weight_decay`, `warmup` (share of the steps): of
    training. `numbers`: V of the count task. `longest`: the longest answer, or operand, in training. `context`: tokens in a
    row. `lengths`: of the exams. `rows`: in the pool that minibatches are drawn from. `tau`: an exact match above it is a
    success. `checkpoints`: how often to grade while training. `members_at_once`: networks in one batch.
    Errors: ValueError naming the first field that does not fit the others, and as task and network raise.
    """

    task: str
    scale: str
    scales: tuple[int, ...]
    width: int
    layers: int
    head_width: int
    positions: str
    rotary_share: float
    members: int
    steps: int
    batch_size: int
    lr: float
    lr_power: float
    weight_decay: float
    warmup: float
    numbers: int
    longest: int
    context: int
    lengths: tuple[int, ...]
    rows: int
    tau: float
    checkpoints: int
    members_at_once: int
    device: str

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task: got {self.task!r}, allowed are {', '.join(TASKS)}")
        for name, least in (("scales", 2), ("lengths", 1)):
            values = getattr(self, name)
            if len(values) < least or values[0] < 1 or any(a >= b for a, b in pairwise(values)):
                raise ValueError(f"{name}: got {list(values)}, allowed are ascending whole numbers >= 1, {least} or more")
        if self.lengths[-1] <= self.longest:
            raise ValueError(f"lengths: got {list(self.lengths)}, allowed are some above longest = {self.longest}")
        if self.checkpoints > self.steps:
            raise ValueError(f"checkpoints: got {self.checkpoints}, allowed are at most steps = {self.steps}")
        task = self.make_task()
        for length in self.lengths:
            task.evaluation(length)
        for scale in self.scales:
            self.net(scale)

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Setup":
        """Pick the fields of a setup out of a study's parameters; the device auto is decided here, once."""
        given = {field.name: params[field.name] for field in fields(cls)}
        given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return cls(**given | ({"device": pick_device("auto").type} if given["device"] == "auto" else {}))

    def make_task(self) -> Task:
        """The task with its training lengths."""
        if self.task == "count":
            return Count(self.numbers, (1, self.longest), self.context)
        return Addition((1, self.longest), context=self.context)

    def questions(self, length: int) -> int:
        """How many questions the exam of this length has."""
        return len(self.make_task().evaluation(length).inputs)

    def net(self, scale: int) -> Decoder:
        """The network at one scale. ValueError for a width that heads of `head_width` do not fill."""
        width, layers = (scale, self.layers) if self.scale == "width" else (self.width, scale)
        if width % self.head_width:
            raise ValueError(f"{self.scale}: got width {width}, allowed are multiples of head_width = {self.head_width}")
        return Decoder(
            vocabulary=len(self.make_task().tokens), length=self.context, width=width, heads=width // self.head_width,
            layers=layers, positions=self.positions, rotary_share=self.rotary_share,
        )  # fmt: skip

    def rate(self, scale: int) -> float:
        """The learning rate at one scale, lr (scale / first scale)^-lr_power: wider networks want smaller ones."""
        return self.lr * (scale / self.scales[0]) ** -self.lr_power
