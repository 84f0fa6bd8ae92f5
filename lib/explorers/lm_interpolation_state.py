"""What a reader of the lm-interpolation explorer can choose, and what has been written so far."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32, Float64

from lib.explorers.lm_interpolation_scene import Scene

ALPHA = (-1.0, 2.0)  # what the paper calls stable
ALPHA_STEP, PART_STEP = 0.05, 0.05
MOST_TOKENS, MOST_TEMPERATURE, MOST_SEED = 96, 2.0, 999
SAMPLES = 8
PANES = ("a", "b")
SHARED = ("prompt", "tokens", "temperature", "seed")  # what both panes have in common


@dataclass(frozen=True)
class Mix:
    """Which way each attribute goes (`alphas`) and how much it matters: `parts`, numbers in [0, 1], in any sum."""

    alphas: tuple[float, ...]
    parts: tuple[float, ...]

    @property
    def lambdas(self) -> tuple[float, ...]:
        """The parts divided by their sum. ValueError where all of them are 0."""
        total = math.fsum(self.parts)
        if not total > 0:
            raise ValueError("lambda: all of them are 0, allowed is at least one above 0")
        return tuple(part / total for part in self.parts)

    def outside(self) -> tuple[bool, ...]:
        """Of each attribute: whether its alpha lies outside [0, 1]."""
        return tuple(not 0 <= alpha <= 1 for alpha in self.alphas)


@dataclass(frozen=True)
class State:
    """Two mixes, and what both go on from."""

    a: Mix
    b: Mix
    prompt: str
    tokens: int
    temperature: float
    seed: int = 0

    def mix(self, pane: str) -> Mix:
        """The mix of pane "a" or "b"."""
        return self.a if pane == "a" else self.b

    def moved(self, pane: str, kind: str, index: int, value: float) -> "State":
        """The state with one alpha (kind "alphas") or one part ("parts") of a pane's mix set."""
        mix = self.mix(pane)
        values = list(getattr(mix, kind))
        values[index] = value
        return replace(self, **{pane: replace(mix, **{kind: tuple(values)})})


@dataclass(frozen=True)
class Text:
    """A continuation, as far as it is written.

    `tokens`: how many steps it took. `first`, `seconds`: to its first token and to its last, once there are any.
    `scores`: of each attribute, once the text is done, none for a blank one.
    """

    words: str = ""
    tokens: int = 0
    done: bool = False
    first: float | None = None
    seconds: float = 0.0
    scores: Mapping[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Samples:
    """Several texts of one mix, while `tokens` are written; at last the scores of those that are not blank."""

    tokens: int = 0
    scores: Float64[np.ndarray, "n K"] | None = None


@dataclass(frozen=True, eq=False)
class Pane:
    """What is known of one mix. `stale`: it is of an earlier choice. `after`: log-probabilities after the prompt."""

    text: Text = field(default_factory=Text)
    after: Float32[np.ndarray, " V"] | None = None
    samples: Samples | None = None
    stale: bool = False
    error: str = ""

    @property
    def unwritten(self) -> bool:
        """Whether its text is still to be written."""
        return not self.error and (self.stale or not self.text.done)


def first_state(scene: Scene) -> State:
    """The first attribute all the way to its positive anchor in A, to its negative one in B, the others in the middle."""
    rest = len(scene.names) - 1
    parts = (1.0, *(0.25,) * rest)
    a, b = (Mix((alpha, *(0.5,) * rest), parts) for alpha in (1.0, 0.0))
    return State(a, b, scene.prompts[0], min(scene.tokens, MOST_TOKENS), min(scene.temperature, MOST_TEMPERATURE))


def check(scene: Scene, state: State) -> None:
    """Refuse a state that no control can be at, in one line (ValueError)."""
    for pane in PANES:
        mix = state.mix(pane)
        for kind, values, (low, high) in (("alpha", mix.alphas, ALPHA), ("part", mix.parts, (0.0, 1.0))):
            if len(values) != len(scene.names):
                raise ValueError(f"{kind}: got {len(values)} numbers, allowed is one for each of {', '.join(scene.names)}")
            for name, value in zip(scene.names, values, strict=True):
                if not low <= value <= high:
                    raise ValueError(f"{kind} of {name!r}: got {value}, allowed are {low:g} to {high:g}")
    for name, low, high in (("tokens", 1, MOST_TOKENS), ("temperature", 0, MOST_TEMPERATURE), ("seed", 0, MOST_SEED)):
        if not low <= getattr(state, name) <= high:
            raise ValueError(f"{name}: got {getattr(state, name)}, allowed are {low} to {high:g}")
