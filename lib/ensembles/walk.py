"""The growing soup of a selection: its threshold, its candidates, and the record of every trial."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

Score = int | float
Scores = Sequence[Score] | np.ndarray
Members = tuple[int, ...]
ScoreFn = Callable[[list[Members]], Scores]
DistanceFn = Callable[[Members, list[int]], Scores]

REFERENCES = ("soup", "first", "mean_pairwise")


@dataclass(frozen=True)
class Step:
    """One trial of a selection.

    `candidate` was tried on top of the soup of the step before (None: all models at once); `score` is that
    soup's score. `best` and `members` are the threshold and the soup *after* the decision: what the candidate
    had to reach is the `best` of the step before. `n_evals` counts soup evaluations so far; `distance` is the
    candidate's distance from the reference (None where none is known); `rank` is its place, from 1, in the
    order by which the rule prefers candidates: single score (greedy), shuffle (random), distance (ranked),
    soup score within its round (greedier).
    """

    step: int
    candidate: int | None
    score: Score
    best: Score
    accepted: bool
    members: Members
    n_evals: int
    distance: float | None
    rank: int


@dataclass
class Walk:
    """State that all rules share; they differ in which candidates they attempt, and when they stop."""

    score_fn: ScoreFn
    single: list[Score]
    distance_fn: DistanceFn | None
    accept: str
    force: bool
    reference: str
    replacement: bool
    members: Members = ()
    best: Score = -math.inf
    n_evals: int = 0
    trace: list[Step] = field(default_factory=list)

    def by_single_score(self, models: Iterable[int]) -> list[int]:
        """Best single model first; equal scores fall to the lower index."""
        return sorted(models, key=lambda i: (-self.single[i], i))

    def candidates(self) -> list[int]:
        """The models that may still enter; a soup with repeats has at most as many entries as models."""
        n = len(self.single)
        if self.replacement:
            return list(range(n)) if len(self.members) < n else []
        return [i for i in range(n) if i not in self.members]

    def scores(self, candidates: list[int]) -> list[Score]:
        """Scores of the soup with each candidate added, in one call."""
        return checked(self.score_fn([(*self.members, i) for i in candidates]), candidates, "score")

    def distances(self, candidates: list[int]) -> list[float | None]:
        """Distances of candidates from the soup, from its first member, or in the mean over its members."""
        if self.distance_fn is None or not candidates:
            return [None] * len(candidates)
        singles = [(i,) for i in self.members]
        bases = {"soup": [self.members], "first": singles[:1], "mean_pairwise": singles}[self.reference]
        rows = [checked(self.distance_fn(base, candidates), candidates, "distance") for base in bases]
        return [sum(column) / len(column) for column in zip(*rows, strict=True)]

    def ranking(self, order: str) -> list[tuple[int, float]]:
        """Candidates by distance; equal ones fall to the better single model, then to the lower index."""
        pool = self.by_single_score(self.candidates())
        sign = -1 if order == "far" else 1
        return sorted(zip(pool, self.distances(pool), strict=True), key=lambda pair: sign * pair[1])

    def passes(self, score: Score) -> bool:
        """The accept rule."""
        return self.force or score > self.best or (self.accept == "ge" and score == self.best)

    def start(self, model: int) -> None:
        """Begin with one model, whose score is known and costs no evaluation."""
        self.members, self.best = (model,), self.single[model]
        self._note(model, self.best, True, 1, None)

    def attempt(self, candidate: int, rank: int, distance: float | None) -> bool:
        """Evaluate one candidate and decide at once."""
        score = self.scores([candidate])[0]
        accepted = self.passes(score)
        self.record(candidate, score, accepted, rank, distance)
        return accepted

    def record(self, candidate: int, score: Score, accepted: bool, rank: int, distance: float | None) -> None:
        """Write down one evaluated trial; only an accepted one changes the soup and the threshold."""
        self.n_evals += 1
        if accepted:
            self.members, self.best = (*self.members, candidate), max(self.best, score)
        self._note(candidate, score, accepted, rank, distance)

    def all_at_once(self) -> None:
        """The uniform soup: no choice, one evaluation."""
        self.members, self.n_evals = tuple(range(len(self.single))), 1
        self.best = checked(self.score_fn([self.members]), ["all"], "score")[0]
        self._note(None, self.best, True, 1, None)

    def _note(self, candidate: int | None, score: Score, accepted: bool, rank: int, distance: float | None) -> None:
        step = len(self.trace)
        self.trace.append(Step(step, candidate, score, self.best, accepted, self.members, self.n_evals, distance, rank))


def checked(values: Scores, names: Sequence[object], what: str) -> list[Score]:
    """Plain numbers, one for each name (else ValueError), none NaN (else RuntimeError with the name)."""
    numbers = np.asarray(values).tolist()
    if len(numbers) != len(names):
        raise ValueError(f"{what}: got {len(numbers)} values for {len(names)} candidates, allowed is one for each")
    for name, number in zip(names, numbers, strict=True):
        if math.isnan(number):
            raise RuntimeError(f"the {what} of candidate {name} is NaN: look at that model's weights and predictions")
    return numbers
