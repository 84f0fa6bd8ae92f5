"""What fixes a population of re-initialised language models, but for the seed and the text."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from lib.devices import pick_device
from lib.emergence.checks import check_least
from lib.emergence.questions import CHANCE, FRAME, VOCABULARY
from lib.nets import Decoder

PREFIX = "text_"
SHARED = ("members_at_once", "device")  # with the study's other populations, without prefix


@dataclass(frozen=True)
class TextSetup:
    """The fields are those of the study's schema, there with `text_` before their names but for the last two.

    `shares`: of questions in the training rows, ascending; the scale. `members`: seeds at each share. `width`, `heads`, `layers`:
    of the network. `passage`: signs of text in a question. `first_steps`: pretraining on questions alone, of `base_rows` rows a
    step; `base_steps`: on the mix with the share `base_share`, until the base model both reads and answers. `steps`, `batch_size`
    (rows), `lr`: after re-initialising. `weight`: what a sign of running text counts beside an answer. `pool`: rows that
    minibatches are drawn from. `questions`: in the exam. `tau`: an accuracy above it, between chance and 1, is a success.
    `checkpoints`: how often to grade. `members_at_once`: networks in one batch.
    Errors: ValueError naming the first field that does not fit, and as the network raises.
    """

    shares: tuple[float, ...]
    members: int
    width: int
    heads: int
    layers: int
    passage: int
    first_steps: int
    base_steps: int
    base_share: float
    base_rows: int
    steps: int
    batch_size: int
    lr: float
    weight: float
    pool: int
    questions: int
    tau: float
    checkpoints: int
    members_at_once: int
    device: str

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in pairwise(self.shares))
        if not (self.shares and ascending and self.shares[0] > 0 and self.shares[-1] < 1):
            raise ValueError(f"shares: got {list(self.shares)}, allowed are ascending ones within 0 < share < 1")
        if not 0 <= self.base_share < 1:
            raise ValueError(f"base_share: got {self.base_share}, allowed is 0 <= base_share < 1")
        if not 0 < self.weight <= 1:
            raise ValueError(f"weight: got {self.weight}, allowed is 0 < weight <= 1")
        if not CHANCE < self.tau < 1:
            raise ValueError(f"tau: got {self.tau}, allowed is {CHANCE} < tau < 1, between chance and perfection")
        counts = "members passage base_rows base_steps steps batch_size pool questions checkpoints members_at_once"
        check_least(**{name: (getattr(self, name), 1) for name in counts.split()}, first_steps=(self.first_steps, 0))
        if self.checkpoints > self.steps:
            raise ValueError(f"checkpoints: got {self.checkpoints}, allowed are at most steps = {self.steps}")
        if round(self.shares[0] * self.pool) < 1:
            raise ValueError(f"pool: got {self.pool}, allowed are enough for a question at the share {self.shares[0]}")
        self.net()

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "TextSetup":
        """Pick the fields out of a study's parameters; the device auto is decided here, once."""
        names = [field.name for field in fields(cls)]
        given = {name: params[name if name in SHARED else PREFIX + name] for name in names}
        given["shares"] = tuple(given["shares"])
        return cls(**given | ({"device": pick_device("auto").type} if given["device"] == "auto" else {}))

    def net(self) -> Decoder:
        """The language model. Its positions are learned: in a question everything has its place."""
        return Decoder(
            vocabulary=len(VOCABULARY), length=self.passage + FRAME - 1, width=self.width, heads=self.heads,
            layers=self.layers, positions="learned",
        )  # fmt: skip
