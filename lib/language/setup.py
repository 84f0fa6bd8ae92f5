"""What fixes a study of mixes of anchors, but for the seed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from lib.devices import pick_device
from lib.language.attributes import find_attribute
from lib.language.lexicon import lexicon_for
from lib.language.neutral import POOLS, neutral_texts
from lib.language.training import Recipe

JUDGES = ("embedding", "ngram", "lexicon")
CORRELATED = ("generated-politeness", "generated-politeness-formal", "generated-formality")  # apart, tied, what it is tied to
NEAR, FAR = 1.0, 2.0  # alphas above the first extrapolate, above the second far: beyond what the paper calls stable
REFERENCE = 100  # held-out texts a side on which a judge is judged, at least
KINDS = {"sentiment": "film", "critic": "film", "archaic": "people", "simplicity": "people"}  # of openings that suit
ANY_KIND = "things"


@dataclass(frozen=True)
class Setup:
    """The fields are those of the study's schema with the same names.

    `backbone`: a model of `lib.language.backbone`. `attributes`: each with two anchors. `anchor_seeds`: how often all anchors are
    trained, each time from another start and in another order. `rank`, `lora_alpha`, `dropout`, `lr`, `steps`, `batch` (rows),
    `block` (tokens in a row): of their training, on `corpus` texts each. `judges`: the first one counts, the second is a second
    opinion; trained on `judge_texts` texts a side. `alphas`: from 0 to 1; `extrapolated`: outside of it, some above 1.
    `held_out`: texts a side whose likelihood is measured, cut to `text_tokens` tokens. `prompts`, `samples` (of each), `tokens`,
    `temperature`: of generation; `matched_prompts`: openings of a kind that suits the attribute, else one kind for all.
    `neutral`: paragraphs of prose, cut to `neutral_tokens`. `focus`: lambda of the attribute that moves in a joint mix;
    `others_alpha`: where the others stand; `joint_prompts`: of each kind there. `lambdas`: ascending, of one attribute at its
    positive anchor. `simplex_steps`: along an edge, of the triangle of lambdas of three positive anchors; 0: none. `shuffled`,
    `swapped`: controls on the first attribute; `mixture_alphas`: anchors trained on mixed texts, of the first attribute too;
    `correlated`: the generated pair that is tied on purpose. `batch_size`: texts at once.
    `precision`: auto, full or bfloat16, of products with matrices that are frozen in training, or that no mix changes.
    Errors: ValueError naming the first field that does not fit the others; KeyError for an unknown attribute.
    """

    backbone: str
    attributes: tuple[str, ...]
    anchor_seeds: int
    rank: int
    lora_alpha: float
    dropout: float
    lr: float
    steps: int
    batch: int
    block: int
    corpus: int
    judges: tuple[str, ...]
    judge_texts: int
    alphas: tuple[float, ...]
    extrapolated: tuple[float, ...]
    held_out: int
    text_tokens: int
    prompts: int
    samples: int
    tokens: int
    temperature: float
    matched_prompts: bool
    neutral: int
    neutral_tokens: int
    focus: float
    others_alpha: float
    joint_prompts: int
    lambdas: tuple[float, ...]
    simplex_steps: int
    shuffled: bool
    swapped: bool
    mixture_alphas: tuple[float, ...]
    correlated: bool
    batch_size: int
    precision: str
    device: str

    def __post_init__(self) -> None:
        if len(set(self.attributes)) != len(self.attributes) or len(self.attributes) < 2:
            raise ValueError(f"attributes: got {list(self.attributes)}, allowed are two or more different ones")
        for name in self.attributes:
            find_attribute(name)
        self._check_grids()
        self._check_judges()
        self._check_texts()
        if self.joint_prompts > self.prompts:
            raise ValueError(f"joint_prompts: got {self.joint_prompts}, allowed are at most prompts = {self.prompts}")
        self.recipe()

    def _check_grids(self) -> None:
        for name, least in (("alphas", 3), ("extrapolated", 1), ("lambdas", 2), ("mixture_alphas", 0)):
            values = getattr(self, name)
            if len(values) < least or any(a >= b for a, b in pairwise(values)) or not all(map(math.isfinite, values)):
                raise ValueError(f"{name}: got {list(values)}, allowed are ascending finite numbers, {least} or more")
        if (self.alphas[0], self.alphas[-1]) != (0.0, 1.0):
            raise ValueError(f"alphas: got {list(self.alphas)}, allowed are those that begin with 0 and end with 1")
        if any(0 <= alpha <= 1 for alpha in self.extrapolated) or self.extrapolated[-1] <= NEAR:
            raise ValueError(f"extrapolated: got {list(self.extrapolated)}, allowed are alphas outside [0, 1], some above 1")
        for name in ("lambdas", "mixture_alphas"):
            if not all(0 <= value <= 1 for value in getattr(self, name)):
                raise ValueError(f"{name}: got {list(getattr(self, name))}, allowed are numbers in [0, 1]")
        if strange := set(self.mixture_alphas) - set(self.alphas[1:-1]):
            raise ValueError(f"mixture_alphas: got {sorted(strange)}, allowed are those of alphas that lie within 0 and 1")

    def _check_judges(self) -> None:
        if not self.judges or len(set(self.judges)) != len(self.judges) or not set(self.judges) <= set(JUDGES):
            raise ValueError(f"judges: got {list(self.judges)}, allowed are one or more of {', '.join(JUDGES)}")
        if "lexicon" in self.judges:
            for name in self.attributes:
                lexicon_for(name)

    def _check_texts(self) -> None:
        """Whether there are as many texts, openings and paragraphs as are asked for."""
        if self.neutral > (paragraphs := len(neutral_texts())):
            raise ValueError(f"neutral: got {self.neutral}, allowed are at most {paragraphs} paragraphs")
        wanted = sum(self.sizes.values())
        for name in self.styles:
            most, openings = find_attribute(name).most, len(POOLS[self.kind(name)])
            if most is not None and wanted > most:
                raise ValueError(
                    f"corpus, judge_texts, held_out: got {self.corpus}, {self.judge_texts}, {self.held_out}, allowed for "
                    f"{name!r} are numbers that add to at most {most} (held_out counts as at least {REFERENCE})"
                )
            if self.prompts > openings:
                raise ValueError(
                    f"prompts: got {self.prompts}, allowed for {name!r} are at most {openings}, all openings about "
                    f"{self.kind(name)}; without matched_prompts at most {len(POOLS[ANY_KIND])}"
                )

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Setup":
        """Pick the fields of a setup out of a study's parameters; the device auto is decided here, once."""
        given = {field.name: params[field.name] for field in fields(cls)}
        given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return cls(**given | ({"device": pick_device("auto").type} if given["device"] == "auto" else {}))

    @property
    def styles(self) -> tuple[str, ...]:
        """All attributes that have texts and anchors: the study's, which are judged too, and those of the tied pair."""
        return tuple(dict.fromkeys((*self.attributes, *(CORRELATED if self.correlated else ()))))

    @property
    def sizes(self) -> dict[str, int]:
        """Texts a side of each part of an attribute's corpus (`lib.language.attributes`)."""
        return {"anchors": self.corpus, "scorer": self.judge_texts, "held_out": max(self.held_out, REFERENCE)}

    @property
    def half(self) -> int:
        """Tokens of each half of a text in whose middle a slider turns."""
        return max(1, self.tokens // 2)

    def kind(self, attribute: str) -> str:
        """What the openings are about that an attribute's anchors continue."""
        return KINDS.get(attribute, ANY_KIND) if self.matched_prompts else ANY_KIND

    @property
    def path(self) -> tuple[float, ...]:
        """All alphas, ascending."""
        return tuple(sorted((*self.alphas, *self.extrapolated)))

    @property
    def middle(self) -> float:
        """The alpha that is nearest to one half, of those within 0 and 1."""
        return min(self.alphas[1:-1], key=lambda alpha: abs(alpha - 0.5))

    @property
    def near(self) -> float:
        """The first alpha above 1: a little beyond the positive anchor."""
        return next(alpha for alpha in self.extrapolated if alpha > NEAR)

    @property
    def far(self) -> float | None:
        """The last alpha, where it lies beyond what the paper calls stable."""
        return self.extrapolated[-1] if self.extrapolated[-1] > FAR else None

    def recipe(self) -> Recipe:
        """How each anchor is trained."""
        return Recipe(
            rank=self.rank, lora_alpha=self.lora_alpha, dropout=self.dropout, lr=self.lr, steps=self.steps, batch=self.batch,
            block=self.block, warmup=min(2, self.steps - 1), precision=self.precision,
        )  # fmt: skip
