"""Which mixes are made, and what is measured on each: every distinct mix is made once, and all its work is done then."""

import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from lib.language.setup import CORRELATED, Setup
from lib.language.weights import Anchor, Attributes

SHUFFLED, SWAPPED, MIXTURE = "shuffled", "swapped", "mixture"
ENDS = (0.0, 1.0)
TRIANGLE = 3  # attributes, of which a picture shows all lambdas

Weights = Mapping[Anchor, float]


@dataclass(frozen=True)
class Point:
    """One point of a curve: a mix, and what is asked of it.

    `group`: base, alpha (one slider), joint (one of several sliders), lambda, simplex (positive anchors alone; the value counts
    the places of `simplex`), tied and apart (the correlated pair and the one that is not), shuffled, swapped, mixture.
    `attribute`: the one that moves, `value`: to where. `likelihood`: attributes whose held-out texts are read. `continued`:
    attributes whose prompts are continued, and how many `prompts`. `neutral`: prose too.
    """

    group: str
    attribute: str
    value: float
    weights: Weights
    likelihood: tuple[str, ...]
    continued: tuple[str, ...] = ()
    prompts: int = 0
    neutral: bool = False

    @property
    def mix(self) -> tuple[tuple[Anchor, float], ...]:
        """The weights that are not zero, in one order: equal mixes have equal ones."""
        return tuple(sorted((anchor, weight) for anchor, weight in self.weights.items() if weight))


@dataclass(frozen=True)
class Work:
    """One mix with all that its points ask: attributes whose texts are read, prompts to continue by attribute, prose or not."""

    mix: tuple[tuple[Anchor, float], ...]
    likelihood: tuple[str, ...]
    continued: Mapping[str, int]
    neutral: bool


def control_name(attribute: str, control: str) -> str:
    """How the anchors of a control are called."""
    return f"{attribute} {control}"


def points_of(setup: Setup) -> tuple[Point, ...]:
    """All points of the study."""
    several = (*_joint(setup), *_lambdas(setup), *_simplex(setup))
    return (_base(setup), *_sliders(setup), *several, *_controls(setup), *_mixtures(setup), *_tied(setup))


def works_of(points: tuple[Point, ...]) -> tuple[Work, ...]:
    """The distinct mixes, in the order of their first points, each with the work of all its points."""
    found: dict[tuple[tuple[Anchor, float], ...], list[Point]] = {}
    for point in points:
        found.setdefault(point.mix, []).append(point)
    return tuple(_work(mix, together) for mix, together in found.items())


def _work(mix: tuple[tuple[Anchor, float], ...], points: list[Point]) -> Work:
    read = tuple(dict.fromkeys(name for point in points for name in point.likelihood))
    continued: dict[str, int] = {}
    for point in points:
        for name in point.continued:
            continued[name] = max(continued.get(name, 0), point.prompts)
    return Work(mix, read, continued, any(point.neutral for point in points))


def slider_weights(attribute: str, alpha: float) -> Weights:
    """One attribute alone, anywhere on its line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # far beyond the anchors is where this study goes on purpose
        return Attributes((attribute,)).mix_weights({attribute: alpha}, extrapolate=True)


def joint_weights(attributes: tuple[str, ...], moved: str, alpha: float, focus: float, others: float) -> Weights:
    """Several attributes: `moved` at alpha with lambda `focus`, the others at alpha `others` with the rest in equal parts."""
    rest = (1 - focus) / (len(attributes) - 1)
    lambdas = {name: focus if name == moved else rest for name in attributes}
    alphas = {name: alpha if name == moved else others for name in attributes}
    return Attributes(attributes).mix_weights(alphas, lambdas)


def _base(setup: Setup) -> Point:
    return Point("base", "", 0.0, {}, setup.attributes, setup.attributes, setup.prompts, neutral=True)


def _sliders(setup: Setup) -> list[Point]:
    return [
        Point("alpha", name, alpha, slider_weights(name, alpha), (name,), (name,), setup.prompts, neutral=True)
        for name in setup.attributes
        for alpha in setup.path
    ]


def _joint(setup: Setup) -> list[Point]:
    names = setup.attributes
    return [
        Point(
            "joint", name, alpha, joint_weights(names, name, alpha, setup.focus, setup.others_alpha),
            names, names if setup.joint_prompts else (), setup.joint_prompts,
        )
        for name in names
        for alpha in ENDS
    ]  # fmt: skip


def _lambdas(setup: Setup) -> list[Point]:
    names = setup.attributes
    return [
        Point("lambda", name, focus, joint_weights(names, name, 1.0, focus, setup.others_alpha), (name,))
        for name in names
        for focus in setup.lambdas
    ]


def simplex(attributes: int, steps: int) -> list[tuple[float, ...]]:
    """All lambdas of so many attributes that are multiples of 1 / steps and sum to 1."""
    grid = itertools.product(range(steps + 1), repeat=attributes)
    return [tuple(k / steps for k in place) for place in grid if sum(place) == steps]


def _simplex(setup: Setup) -> list[Point]:
    names = setup.attributes
    if not setup.simplex_steps or len(names) != TRIANGLE:
        return []
    ahead, places = dict.fromkeys(names, 1.0), simplex(len(names), setup.simplex_steps)
    mixes = [Attributes(names).mix_weights(ahead, dict(zip(names, place, strict=True))) for place in places]
    return [Point("simplex", "", float(k), weights, names) for k, weights in enumerate(mixes)]


def _controls(setup: Setup) -> list[Point]:
    first = setup.attributes[0]
    wanted = [name for name, asked in ((SHUFFLED, setup.shuffled), (SWAPPED, setup.swapped)) if asked]
    return [
        Point(control, first, alpha, slider_weights(control_name(first, control), alpha), (first,))
        for control in wanted
        for alpha in (0.0, setup.middle, 1.0)
    ]


def _mixtures(setup: Setup) -> list[Point]:
    first = setup.attributes[0]
    return [Point(MIXTURE, first, alpha, {mixture_anchor(first, alpha): 1.0}, (first,)) for alpha in setup.mixture_alphas]


def mixture_anchor(attribute: str, alpha: float) -> Anchor:
    """The anchor that was trained on texts mixed in the proportion alpha : 1 - alpha."""
    return (attribute, f"{MIXTURE} {alpha:g}")


def _tied(setup: Setup) -> list[Point]:
    """Two attributes at once: the slider of one moves, how far does the other follow? For the tied pair and the one apart."""
    if not setup.correlated:
        return []
    apart, tied, other = CORRELATED
    return [
        Point(group, moved, alpha, joint_weights((first, other), moved, alpha, 0.5, 0.5), (first, other))
        for group, first in (("apart", apart), ("tied", tied))
        for moved in (first, other)
        for alpha in ENDS
    ]
