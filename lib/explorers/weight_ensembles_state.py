"""What a reader of the distance explorer can set, and what is then to be seen: plain records, no computation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lib.ensembles.soups import VARIANTS
from lib.ensembles.walk import Members, Step

# Name in the menu -> (kind of distance, split whose predictions it compares).
DISTANCES = {
    "d_D ratio error, ID validation": ("ratio-error", "id_val"),
    "d_D ratio error, ID test": ("ratio-error", "id_test"),
    "d_D ratio error, OOD": ("ratio-error", "ood"),
    "d_E weight distance": ("weights", "id_val"),
    "cosine of task vectors": ("cosine", "id_val"),
    "disagreement, ID test": ("disagreement", "id_test"),
    "Jensen-Shannon (root), ID test": ("jensen-shannon-root", "id_test"),
    "1 - linear CKA, ID test": ("one-minus-cka", "id_test"),
}
RULES = tuple(VARIANTS)
SCORES = {"id_val": "ID validation", "id_test": "ID test", "ood": "OOD"}
HYPERPARAMETERS = ("lr", "weight_decay", "dropout", "noise", "label_smoothing")
COLOURS = {
    **{split: f"{title} accuracy (%)" for split, title in SCORES.items()},
    **{name: name for name in HYPERPARAMETERS},
    "model": "model",
}


@dataclass(frozen=True)
class State:
    """Everything a reader can set. `step` counts trials: at step t each rule shows its first t trials."""

    held_out: str
    distance: str = "d_D ratio error, ID test"
    embedding: str = "metric"
    rules: tuple[str, ...] = ("greedy", "greedier", "ranked-d-far", "ranked-e-far")
    step: int = 0
    colour_by: str = "ood"
    show_rejected: bool = True
    show_soups: bool = True
    show_start: bool = False
    manual: Members = ()
    accept: str = "ge"
    reference: str = "soup"
    rerank: bool = True

    @property
    def method(self) -> tuple[str, str, str, bool]:
        """What decides the selections."""
        return self.held_out, self.accept, self.reference, self.rerank


@dataclass(frozen=True, eq=False)
class Path:
    """One rule at one step: where its soup is, came from and what it tries, and its curves over all steps."""

    rule: str
    step: Step
    soups: np.ndarray
    finished: bool
    members: np.ndarray
    trial: np.ndarray | None
    rejected: np.ndarray
    id_test: list[float]
    ood: list[float]
    diversity: list[float | None]
    threshold: float | None


@dataclass(frozen=True, eq=False)
class Manual:
    """A soup that the reader picked: its place on the map and its scores in %."""

    members: Members
    point: np.ndarray
    scores: Mapping[str, float]
    diversity: float | None


@dataclass(frozen=True, eq=False)
class Frame:
    """What is to be seen in one state; both renderers draw from it alone."""

    state: State
    n_steps: int
    ingredients: np.ndarray
    ood: np.ndarray
    colours: np.ndarray
    colour_title: str
    hover: list[str]
    start: np.ndarray
    soups: np.ndarray
    soup_hover: list[str]
    paths: tuple[Path, ...]
    manual: Manual | None
    stress: float
    rank_correlation: float | None
    extent: np.ndarray
