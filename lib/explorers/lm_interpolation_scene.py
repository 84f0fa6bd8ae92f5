"""What the explorer of the lm-interpolation study is given: a model with its anchors, judges, and what was measured."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor, nn

from lib.language.adapters import Adapter
from lib.language.attributes import ATTRIBUTES
from lib.language.backbone import Backbone
from lib.language.mixing import Mixer, check_unmixed
from lib.language.scorers import Scorer
from lib.language.weights import Anchor, Attributes
from lib.seeds import Seeds

BASE = ""  # moved: nothing
COLUMNS = ("moved", "scored", "alpha", "score")  # of the measured curves


@dataclass(frozen=True)
class Side:
    """An attribute's name, and what its two anchors are, in words."""

    name: str
    positive: str
    negative: str


@dataclass(frozen=True)
class Curve:
    """Mean scores of texts at alphas in rising order."""

    alphas: tuple[float, ...]
    scores: tuple[float, ...]

    def at(self, alpha: float) -> float:
        """On the straight line between the two nearest measured alphas; beyond them the last one measured."""
        return float(np.interp(alpha, self.alphas, self.scores))

    def covers(self, alpha: float) -> bool:
        """Whether something was measured on both sides of alpha."""
        return self.alphas[0] <= alpha <= self.alphas[-1]


@dataclass(frozen=True)
class Listening(Backbone):
    """A backbone that keeps what its head said last: while a text is written, the distribution that a token came from."""

    said: list[Float[Tensor, "*shape V"]] = field(default_factory=list)

    def logits(self, hidden: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape V"]:
        """The head alone."""
        found = super().logits(hidden)
        self.said[:] = [found]
        return found


@dataclass(frozen=True, eq=False)
class Scene:
    """Made and checked by `scene_of`.

    `backbone`: a model of the explorer's own, see `twin`, and `mixer` its anchors. `scorers`: a judge for each attribute;
    `ends`: its mean scores of real texts of the negative and of the positive side.
    `curves`: (attribute moved, attribute scored) -> the scores measured while the first was mixed alone; all attributes have
    their own. `measured`: how, in words. `tokens`, `temperature`: to begin with. `gate`: held by whoever uses the model.
    """

    backbone: Listening
    mixer: Mixer[Anchor]
    attributes: Attributes
    sides: tuple[Side, ...]
    scorers: Mapping[str, Scorer]
    ends: Mapping[str, tuple[float, float]]
    curves: Mapping[tuple[str, str], Curve]
    rest: Mapping[str, float]
    prompts: tuple[str, ...]
    seeds: Seeds
    tokens: int
    temperature: float
    measured: str
    gate: Lock = field(default_factory=Lock)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes in their order."""
        return self.attributes.names


def scene_of(
    backbone: Backbone,
    adapters: Mapping[Anchor, Adapter],
    scorers: Mapping[str, Scorer],
    ends: Mapping[str, tuple[float, float]],
    curves: pd.DataFrame,
    prompts: Sequence[str],
    *,
    seeds: Seeds,
    tokens: int = 24,
    temperature: float | int = 1.0,
    measured: str = "",
) -> Scene:
    """The scene of anchors (attribute, sign) with a judge for each attribute and ready prompts.

    `ends`: the mean scores that each judge gives to real texts of the negative and of the positive side.
    `curves` has the columns moved, scored, alpha and score: the mean score of attribute `scored` where attribute `moved` was
    mixed alone at `alpha`; where `moved` is empty, that of the base. Rows with moved = scored are needed for all attributes.
    Where one was not scored while another was moved, it counts as staying at the base's score, or else at its own middle.
    `measured`: how, such as "60 texts a point". The explorer changes nothing of `backbone`: its model is a twin.

    Errors: ValueError for a missing anchor, judge, pair of ends, curve or prompt and for scores that are not in [0, 1]; what
    Mixer refuses.
    """
    attributes = Attributes.of(adapters)
    if missing := [name for name in attributes.names if name not in scorers]:
        raise ValueError(f"scorers: got {sorted(scorers)}, allowed is one for each attribute, also for {', '.join(missing)}")
    for name in attributes.names:
        if len(pair := ends.get(name, ())) != 2 or not all(0 <= score <= 1 for score in pair):
            raise ValueError(f"ends: got {pair} for {name!r}, allowed are two scores in [0, 1] for each attribute")
    if isinstance(prompts, str) or not prompts or "" in prompts:
        raise ValueError(f"prompts: got {prompts!r}, allowed is a list of at least one text, none of them empty")
    measurements = _curves(curves, attributes)
    own = twin(backbone)
    return Scene(
        own, Mixer(own, adapters), attributes, tuple(map(_side, attributes.names)), dict(scorers), dict(ends), measurements,
        _rest(curves, measurements, attributes), tuple(dict.fromkeys(prompts)), seeds, tokens, float(temperature), measured,
    )  # fmt: skip


def twin(backbone: Backbone) -> Listening:
    """The same model once more, in the same memory: a mix that one of the two is given leaves the other as it was.

    Each has parameters of its own that point to the same numbers, and a mixer lets its own point elsewhere. So the explorer
    may write in its thread while the notebook goes on with the model. RuntimeError for a model that holds a mix.
    """
    check_unmixed(backbone.model)
    memo: dict[int, object] = {id(each): each for each in backbone.model.buffers()}
    memo |= {id(each): nn.Parameter(each.data, requires_grad=False) for each in backbone.model.parameters()}
    return Listening(backbone.name, copy.deepcopy(backbone.model, memo), backbone.tokenizer, backbone.fingerprint)


def _side(name: str) -> Side:
    known = ATTRIBUTES.get(name)
    return Side(name, known.positive, known.negative) if known else Side(name, "the positive anchor", "the negative anchor")


def _curves(table: pd.DataFrame, attributes: Attributes) -> dict[tuple[str, str], Curve]:
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"curves: got the columns {', '.join(map(str, table))}, allowed are also {', '.join(missing)}")
    found = {}
    for (moved, scored), rows in table.groupby(["moved", "scored"]):
        if {moved, scored} <= set(attributes.names):
            means = rows.groupby("alpha")["score"].mean()
            found[moved, scored] = Curve(tuple(means.index), tuple(means))
    for name in attributes.names:
        if len(found.get((name, name), Curve((), ())).alphas) < 2:
            raise ValueError(f"curves: no scores of {name!r} at two alphas or more, allowed is a curve for each attribute")
    for pair, curve in found.items():
        if not all(0 <= score <= 1 for score in curve.scores):
            raise ValueError(f"curves: {pair} has the scores {curve.scores}, allowed are numbers in [0, 1]")
    return found


def _rest(table: pd.DataFrame, curves: Mapping[tuple[str, str], Curve], attributes: Attributes) -> dict[str, float]:
    base = table[table["moved"] == BASE].groupby("scored")["score"].mean()
    return {name: float(base.get(name, curves[name, name].at(0.5))) for name in attributes.names}
