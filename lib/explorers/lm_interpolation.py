"""The explorer of the lm-interpolation study as plain functions of a scene, a state and what was written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from scipy.stats import t as student

from lib.explorers.lm_interpolation_scene import Scene
from lib.explorers.lm_interpolation_state import SAMPLES, Mix, State
from lib.language.generation import stream
from lib.language.weights import NEGATIVE, POSITIVE, SIGNS, Anchor
from lib.seeds import Seeds

BASE: Anchor = ("", "")  # stands for the model without any anchor
TOP = 10  # tokens that are compared
LEVEL = 0.95

LogProbabilities = Float32[np.ndarray, " V"]


@dataclass(frozen=True)
class Predicted:
    """A mean score read off the measured curves. `covered`: no alpha that counts lies beyond what was measured."""

    value: float
    covered: bool


@dataclass(frozen=True)
class Mean:
    """The mean of n scores with its interval, which one score has not."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bar:
    """A token and its probability after the prompt under both mixes, none while it is not known."""

    id: int
    token: str
    a: float | None
    b: float | None


def weights(scene: Scene, mix: Mix) -> dict[Anchor, float]:
    """Each anchor's share: lambda_i alpha_i and lambda_i (1 - alpha_i). ValueError where all lambdas are 0."""
    alphas, lambdas = (dict(zip(scene.names, values, strict=True)) for values in (mix.alphas, mix.lambdas))
    return scene.attributes.mix_weights(alphas, lambdas, extrapolate=True)


def predicted(scene: Scene, mix: Mix) -> dict[str, Predicted]:
    """The score of each attribute j that straight lines give: sum over i of lambda_i S_ij(alpha_i).

    S_ij: the mean score of j measured while i was mixed alone, or, where it was not, the score of j where nothing moves it.
    ValueError where all lambdas are 0.
    """
    shares = list(zip(scene.names, mix.alphas, mix.lambdas, strict=True))
    found = {}
    for scored in scene.names:
        value, covered = 0.0, True
        for moved, alpha, share in shares:
            curve = scene.curves.get((moved, scored))
            value += share * (curve.at(alpha) if curve else scene.rest[scored])
            covered &= not share or curve is None or curve.covers(alpha)
        found[scored] = Predicted(value, covered)
    return found


def write(
    scene: Scene, shares: Mapping[Anchor, float], state: State, nodes: Sequence[Seeds], cancelled: Callable[[], bool]
) -> Iterator[list[str]]:
    """Continuations of the state's prompt, one for each node, after every token; the scene's gate is held meanwhile."""
    prompts = [state.prompt] * len(nodes)
    with scene.gate:
        scene.mixer.apply(shares)
        yield from stream(
            scene.backbone, prompts, tokens=state.tokens, seeds=nodes, temperature=state.temperature, cancelled=cancelled
        )


def after(scene: Scene) -> LogProbabilities:
    """Log-probabilities of the token after the prompt, once `write` has told the first token: no sampling is in them."""
    return scene.backbone.said[0][0].float().log_softmax(-1).cpu().numpy()


def text_node(scene: Scene, seed: int) -> Seeds:
    """Where a text's randomness comes from: the same in both panes and in the anchors' texts."""
    return scene.seeds.child("text", seed)


def sample_nodes(scene: Scene, seed: int) -> list[Seeds]:
    """The same for the samples, which are other texts than the one shown."""
    return [text_node(scene, seed).child("sample", i) for i in range(SAMPLES)]


def anchor_shares(anchor: Anchor) -> dict[Anchor, float]:
    """One anchor on its own; none for the base."""
    return {} if anchor == BASE else {anchor: 1.0}


def anchors(scene: Scene) -> tuple[Anchor, ...]:
    """All anchors behind the base, as their texts are listed."""
    return (BASE, *((name, sign) for name in scene.names for sign in reversed(SIGNS)))


def anchor_words(scene: Scene, anchor: Anchor) -> str:
    """What an anchor is."""
    if anchor == BASE:
        return "the model without anchors"
    side = next(side for side in scene.sides if side.name == anchor[0])
    return f"{anchor[0]} {anchor[1].replace(NEGATIVE, '−')}: {side.positive if anchor[1] == POSITIVE else side.negative}"


def scores(scene: Scene, texts: Sequence[str]) -> Float64[np.ndarray, "n K"]:
    """Each text's score of each attribute, without blank texts; the prompt is no part of a text."""
    said = [text.strip() for text in texts if text.strip()]
    if not said:
        return np.empty((0, len(scene.names)))
    return np.stack([scene.scorers[name].score(said) for name in scene.names], axis=1)


def mean_of(values: Float64[np.ndarray, " n"]) -> Mean:
    """The mean and its 95 percent t interval, cut to [0, 1] where the scores are."""
    n, value = len(values), float(np.mean(values))
    if n < 2:
        return Mean(value, n)
    half = float(student.ppf((1 + LEVEL) / 2, n - 1) * np.std(values, ddof=1) / n**0.5)
    return Mean(value, n, max(value - half, 0.0), min(value + half, 1.0))


def next_bars(scene: Scene, a: LogProbabilities | None, b: LogProbabilities | None) -> tuple[Bar, ...]:
    """The tokens that are likeliest under either mix, by falling probability under both together; none for no mix."""
    known = np.exp([each for each in (a, b) if each is not None])
    if not len(known):
        return ()
    chosen = np.argsort(-known.max(0), kind="stable")[:TOP]
    chosen = chosen[np.argsort(-known.sum(0)[chosen], kind="stable")]
    shares = [[None] * len(chosen) if each is None else np.exp(each[chosen]).tolist() for each in (a, b)]
    return tuple(Bar(int(i), token_words(scene, int(i)), *both) for i, *both in zip(chosen, *shares, strict=True))


def token_words(scene: Scene, token: int) -> str:
    """A token with its spaces to be seen."""
    words = scene.backbone.tokenizer.decode([token])
    return words.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")


def total_variation(a: LogProbabilities, b: LogProbabilities) -> float:
    """Half the sum of |p - q|: 0 for the same distribution, 1 for two that share no token."""
    return float(np.abs(np.exp(a.astype(np.float64)) - np.exp(b.astype(np.float64))).sum() / 2)


def parting(own: str, other: str, other_done: bool) -> int:
    """How many characters a text has in common with the other one, or is not yet known not to have."""
    pairs = enumerate(zip(own, other, strict=False))
    shared = next((i for i, (mine, theirs) in pairs if mine != theirs), min(len(own), len(other)))
    return len(own) if shared == len(other) and not other_done else shared


def mix_words(scene: Scene, mix: Mix) -> str:
    """A mix in words: of each attribute that counts, its alpha and its lambda."""
    shares = zip(scene.names, mix.alphas, mix.lambdas, strict=True)
    words = (f"{name} α = {alpha:.2f} (λ {share:.2f})" for name, alpha, share in shares if share)
    return ", ".join(words).replace("= -", "= −")
