"""Which ingredients enter the soup: uniform, random-order, greedy, greedier and ranked selection.

Nothing here knows of networks. A model is a number 0..n-1, a soup is a tuple of models in order of entry, and
the two callables `score_fn` and `distance_fn` say how good soups are and how far models lie from a soup.

Greedy is the published rule of model soups [wortsman2022], by default with the non-strict comparison of DiWA
[rame2022]. **Greedier and ranked are reconstructions**: the full text and the code of [rojas2024] were not
available when this was written, so their exact rules (what is compared, when the ranking is redone, how ties
fall) are our reading of the idea, not the authors' own.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lib.ensembles.walk import REFERENCES, DistanceFn, Members, Score, ScoreFn, Scores, Step, Walk, checked
from lib.seeds import Seeds

RULES = ("uniform", "random", "greedy", "greedier", "ranked", "manual")
ACCEPTS = ("ge", "gt")
ORDERS = ("far", "near")


@dataclass(frozen=True)
class Selection:
    """What a rule chose: `members` in order of entry, the `best` score on the way, the cost, the `trace`."""

    rule: str
    members: Members
    best: Score
    n_evals: int
    trace: tuple[Step, ...]

    @property
    def curve(self) -> tuple[Step, ...]:
        """The accepted steps: the soups that the rule went through."""
        return tuple(step for step in self.trace if step.accepted)

    @property
    def best_prefix(self) -> Members:
        """The best soup on the way (the earliest of equals); under `force` often not the last."""
        return max(self.curve, key=lambda step: step.score).members


def select(
    rule: str,
    score_fn: ScoreFn,
    n: int,
    single_scores: Scores,
    distance_fn: DistanceFn | None = None,
    *,
    accept: str = "ge",
    force: bool = False,
    replacement: bool = False,
    order: str = "far",
    reference: str = "soup",
    rerank: bool = True,
    members: Sequence[int] | None = None,
    seeds: Seeds | None = None,
) -> Selection:
    """Grow a soup by `rule` and record every trial.

    All sequential rules start with the best single model, so they end no worse than it in the score they
    select by; equal scores fall to the better single model, then to the lower index.

    - `uniform`: all n models, one evaluation. `manual`: `members` in the order given, whatever they score.
    - `greedy` [wortsman2022]: the others once each, best single first; keep those that pass; n-1 evaluations.
      `random`: the same in shuffled order (needs `seeds`).
    - `greedier` (reconstruction of [rojas2024]): evaluate all that are left, add the best of them if it
      passes, repeat; at most n(n-1)/2 evaluations. `replacement` lets a model enter again [caruana2004], up
      to n entries in all.
    - `ranked` (reconstruction of [rojas2024]): order those left by distance, `far` or `near` first, from
      `reference` (`soup`, `first` ingredient, or `mean_pairwise` over members); add the first that passes,
      rank anew; stop after a full walk without one. With `rerank=False` the first ranking is walked once: n-1
      evaluations.

    A soup passes if its score is >= the best so far (`accept="ge"`) or > it (`"gt"`). `force` lets every soup
    pass, to record the whole curve; `Selection.best_prefix` then names the soup to use. `score_fn` maps a
    list of member tuples to scores; give counts of correct samples, whole numbers, so that ties are exact.
    `distance_fn(members, candidates)` gives the distances of candidates from one soup; rules other than
    `ranked` only record them.

    Raises ValueError for bad options, RuntimeError if a score or distance is NaN.
    """
    _check_options(rule, n, single_scores, distance_fn, accept, replacement, order, reference, members, seeds)
    single = checked(single_scores, range(n), "single score")
    walk = Walk(score_fn, single, distance_fn, accept, force or rule == "manual", reference, replacement)
    if rule == "uniform" and n > 1:
        walk.all_at_once()
    elif rule == "manual":
        walk.start(members[0])
        _one_pass(walk, members[1:])
    else:
        walk.start(walk.by_single_score(range(n))[0])
        _grow(rule, walk, order, rerank, seeds)
    return Selection(rule, walk.members, walk.best, walk.n_evals, tuple(walk.trace))


def _grow(rule: str, walk: Walk, order: str, rerank: bool, seeds: Seeds | None) -> None:
    """The sequential rules, after their first member."""
    others = walk.by_single_score(walk.candidates())
    if rule == "greedy":
        _one_pass(walk, others)
    elif rule == "random":
        _one_pass(walk, seeds.child("candidate order").numpy().permutation(others).tolist())
    elif rule == "greedier":
        _greedier(walk)
    elif rule == "ranked" and rerank:
        _ranked(walk, order)
    elif rule == "ranked":
        _ranked_once(walk, order)


def _one_pass(walk: Walk, candidates: Sequence[int]) -> None:
    """Try each candidate once, in the order given."""
    for rank, candidate in enumerate(candidates, 1):
        walk.attempt(candidate, rank, walk.distances([candidate])[0])


def _greedier(walk: Walk) -> None:
    """Try every candidate, add the best if it passes, repeat. Each round is recorded worst trial first."""
    accepted = True
    while accepted and (pool := walk.candidates()):
        trials = list(zip(walk.scores(pool), pool, walk.distances(pool), strict=True))
        trials.sort(key=lambda trial: (trial[0], walk.single[trial[1]], -trial[1]))
        for rank, (score, candidate, distance) in zip(range(len(pool), 0, -1), trials, strict=True):
            accepted = rank == 1 and walk.passes(score)
            walk.record(candidate, score, accepted, rank, distance)


def _ranked(walk: Walk, order: str) -> None:
    """Add the first candidate by distance that passes, rank anew, until a full walk finds none."""
    accepted = True
    while accepted and (ranking := walk.ranking(order)):
        accepted = any(walk.attempt(i, rank, distance) for rank, (i, distance) in enumerate(ranking, 1))


def _ranked_once(walk: Walk, order: str) -> None:
    """Walk the distance ranking from the first member once."""
    for rank, (candidate, distance) in enumerate(walk.ranking(order), 1):
        walk.attempt(candidate, rank, distance)


def _check_options(
    rule: str,
    n: int,
    single_scores: Scores,
    distance_fn: DistanceFn | None,
    accept: str,
    replacement: bool,
    order: str,
    reference: str,
    members: Sequence[int] | None,
    seeds: Seeds | None,
) -> None:
    for field, value, allowed in (
        ("rule", rule, RULES),
        ("accept", accept, ACCEPTS),
        ("order", order, ORDERS),
        ("reference", reference, REFERENCES),
    ):
        if value not in allowed:
            raise ValueError(f"{field}: got {value!r}, allowed are {', '.join(allowed)}")
    if n < 1:
        raise ValueError(f"n: got {n}, the pool is empty; at least one model is needed")
    if len(single_scores) != n:
        raise ValueError(f"single_scores: got {len(single_scores)} scores for {n} models, allowed is one for each")
    if rule == "ranked" and distance_fn is None:
        raise ValueError("distance_fn: got None, the rule 'ranked' needs one")
    if rule == "random" and seeds is None:
        raise ValueError("seeds: got None, the rule 'random' needs a lib.seeds.Seeds")
    if replacement and rule not in ("greedier", "manual"):
        raise ValueError(f"replacement: got True for the rule {rule!r}, allowed for greedier and manual only")
    if (members is None) == (rule == "manual"):
        raise ValueError(f"members: got {members} for the rule {rule!r}, they belong to the rule 'manual' and only to it")
    if members is not None:
        check_members(members, n, replacement)


def check_members(members: Sequence[int], n: int, replacement: bool = False) -> None:
    """Refuse (ValueError) a soup that is empty, leaves 0..n-1, or repeats a model without `replacement`."""
    if len(members) == 0:
        raise ValueError("members: got an empty soup, at least one model is needed")
    if outside := [i for i in members if not 0 <= i < n]:
        raise ValueError(f"members: got {outside[0]}, allowed are the models 0..{n - 1}")
    repeated = [i for i, count in Counter(members).items() if count > 1]
    if repeated and not replacement:
        raise ValueError(f"members: model {repeated[0]} is given more than once, allowed only with replacement=True")
