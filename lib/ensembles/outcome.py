"""What the selection rules made of a pool: every soup judged on every split, and the numbers that the claims rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import t

from lib.ensembles.distances import Matrix, pair_correlation, set_diversity, spearman
from lib.ensembles.mechanics import EnsembleGap, SubsetSample, ensemble_gap, pair_gains, prediction_ensemble, sample_subsets
from lib.ensembles.paths import area_under_curve, curve_table
from lib.ensembles.selection import Selection
from lib.ensembles.soups import VARIANTS, Evaluator, Pool
from lib.ensembles.walk import Members
from lib.seeds import Seeds

SPLITS = ("id_val", "id_test", "ood")
SEQUENTIAL = tuple(rule for rule in VARIANTS if rule != "uniform")
RANKED = tuple(rule for rule in VARIANTS if rule.startswith("ranked"))
SCALES = tuple(2.0**-k for k in range(9, -1, -1))  # from models drawn almost together to models as they are
SMALL = 2.0**-5  # where the slope is read: the law is one of small distances


@dataclass(frozen=True, eq=False)
class Outcome:
    """A pool with one domain held out, and what every rule chose from it, seeing the ID validation split alone."""

    repeat: int
    held_out: str
    evaluator: Evaluator
    selections: Mapping[str, Selection]
    distances: Mapping[str, Matrix]

    @property
    def pool(self) -> Pool:
        """The pool behind the evaluator."""
        return self.evaluator.pool


def run_rules(pool: Pool, repeat: int, held_out: str, seeds: Seeds, **options: Any) -> Outcome:
    """Let every rule choose on ID validation data; `options` (accept, reference, rerank) go to the rules.

    `distances` of the outcome are for display: d_D on ID test and on OOD, and d_E. The rules rank by d_D on ID validation.
    """
    evaluator = Evaluator(pool)
    chosen = {rule: evaluator.choose(rule, "id_val", seeds.child(rule), **options) for rule in VARIANTS}
    singles = evaluator.singles
    distances = {
        "d_D id_test": evaluator.distances("ratio-error", singles, "id_test").cpu().numpy(),
        "d_D ood": evaluator.distances("ratio-error", singles, "ood").cpu().numpy(),
        "d_E": evaluator.distances("weights", singles, "id_val").cpu().numpy(),
    }
    return Outcome(repeat, held_out, evaluator, chosen, distances)


def rule_table(outcome: Outcome) -> pd.DataFrame:
    """One row per rule and reference: accuracies in %, soup size, soup evaluations, diversity, area under the ID test curve.

    References: the start theta_0, the mean and the best single model (by ID validation), and the prediction ensemble of all
    models, which costs K times the inference.
    """
    evaluator, pool = outcome.evaluator, outcome.pool
    best = outcome.selections["greedy"].members[0]
    rows = [
        {"rule": "start", **_percent(evaluator, ())},
        {"rule": "mean single", "size": 1, **_mean_single(evaluator)},
        {"rule": "best single", "size": 1, "evaluations": 0, **_percent(evaluator, (best,))},
        {"rule": "prediction ensemble", "size": len(pool.flat), **_ensemble(evaluator)},
    ]
    for rule, selection in outcome.selections.items():
        members = selection.members
        diversity = {name: set_diversity(matrix, members) for name, matrix in outcome.distances.items()}
        spread = {f"diversity {name}": found.value if found.defined else None for name, found in diversity.items()}
        cost = {"size": len(members), "evaluations": selection.n_evals}
        rows.append({"rule": rule, **cost, **_percent(evaluator, members), **spread, **_area(outcome, selection)})
    return pd.DataFrame(rows).assign(repeat=outcome.repeat, held_out=outcome.held_out)


def _area(outcome: Outcome, selection: Selection) -> dict[str, float]:
    """Mean ID test accuracy over soup sizes 1..K, a rule that stops early keeping its last; none for the uniform soup."""
    if selection.rule == "uniform":
        return {}
    curve = curve_table(outcome.evaluator, selection, ["id_test"], {})
    return {
        "area id_test": 100 * area_under_curve(curve["size"].tolist(), curve["accuracy id_test"].tolist(), len(outcome.pool.flat))
    }


def _percent(evaluator: Evaluator, members: tuple[int, ...]) -> dict[str, float]:
    return {split: 100 * evaluator.accuracy([members], split)[0] for split in SPLITS}


def _mean_single(evaluator: Evaluator) -> dict[str, float]:
    return {split: 100 * float(np.mean(evaluator.accuracy(evaluator.singles, split))) for split in SPLITS}


def _ensemble(evaluator: Evaluator) -> dict[str, float]:
    """Accuracy of the mean softmax output over all single models."""
    return {
        split: 100
        * (prediction_ensemble(evaluator.logits(evaluator.singles, split)).argmax(-1) == evaluator.pool.labels[split])
        .double().mean().item()
        for split in SPLITS
    }  # fmt: skip


def diversity_sample(outcome: Outcome, size: int, n_subsets: int, seeds: Seeds) -> SubsetSample:
    """Random subsets: their OOD accuracy against their d_D diversity on OOD data. For display and claims, never for selection."""

    def score(subsets: list[tuple[int, ...]]) -> list[float]:
        return outcome.evaluator.accuracy(subsets, "ood")

    return sample_subsets(outcome.distances["d_D ood"], score, size, n_subsets, seeds)


def convergence(outcome: Outcome) -> float:
    """1 - (spread of the sequential rules' final soups) / (largest spread of their soups at any size).

    The spread at size t is the mean d_E over pairs of rules, each at its t-th soup or at its last; 0 means that the rules end
    as far apart as they ever were, 1 that they end in the same soup.
    """
    return _convergence(outcome, [[step.members for step in outcome.selections[rule].curve] for rule in SEQUENTIAL])


def chance_convergence(outcome: Outcome, seeds: Seeds, draws: int = 20) -> float:
    """Mean `convergence` of soups that grow by random members from the same first model to the rules' own sizes.

    Averaging more members brings soups together by itself; what a rule shows must be held against this.
    """
    lengths = [len(outcome.selections[rule].curve) for rule in SEQUENTIAL]
    first, n = outcome.selections["greedy"].members[0], len(outcome.pool.flat)
    others = [k for k in range(n) if k != first]
    found = []
    for draw in range(draws):
        rng = seeds.child("random growth", draw).numpy()
        orders = [(first, *rng.permutation(others).tolist()) for _ in lengths]
        paths = [[order[: i + 1] for i in range(length)] for order, length in zip(orders, lengths, strict=True)]
        found.append(_convergence(outcome, paths))
    return float(np.mean(found))


def _convergence(outcome: Outcome, paths: list[list[Members]]) -> float:
    spreads = []
    for size in range(max(map(len, paths))):
        soups = [path[min(size, len(path) - 1)] for path in paths]
        matrix = outcome.evaluator.distances("weights", soups, "id_val").cpu().numpy()
        spreads.append(matrix[np.triu_indices(len(soups), 1)].mean())
    return 1 - spreads[-1] / max(spreads) if max(spreads) > 0 else 1.0


def ingredients_needed(a: Selection, b: Selection) -> int:
    """Ingredients that `a` needs minus those that `b` needs to reach the lower of the two final validation scores."""
    target = min(a.best, b.best)
    needed = [next(len(step.members) for step in chosen.curve if step.best >= target) for chosen in (a, b)]
    return needed[0] - needed[1]


def soup_against_ensemble(outcome: Outcome, scales: Sequence[float] = SCALES) -> EnsembleGap:
    """How the soup of all models leaves their prediction ensemble as they move apart by `scales`, on ID test data, in float64."""
    pool = outcome.pool
    return ensemble_gap(pool.flat.double(), lambda flat: pool.predict(flat, "id_test"), pool.labels["id_test"], scales)


def measurements(outcome: Outcome, subsets: SubsetSample, seeds: Seeds) -> dict[str, float]:
    """The numbers of one outcome by metric name; accuracies and their differences in percent (points).

    A rank correlation that is undefined, one side being constant, is left out.
    """
    table = rule_table(outcome).set_index("rule")
    found = {f"{rule}/{split}": float(table.loc[rule, split]) for rule in table.index for split in SPLITS}
    gap = {split: table[split] for split in SPLITS}
    for split in ("id_test", "ood"):
        column = gap[split]
        ranked = column[list(RANKED)].mean()
        found |= {
            f"uniform-mean_single/{split}": column["uniform"] - column["mean single"],
            f"uniform-greedy/{split}": column["uniform"] - column["greedy"],
            f"greedy-best_single/{split}": column["greedy"] - column["best single"],
            f"greedier-greedy/{split}": column["greedier"] - column["greedy"],
            f"greedier-ranked/{split}": column["greedier"] - ranked,
            f"e_far-d_far/{split}": column["ranked-e-far"] - column["ranked-d-far"],
            f"d_far-d_near/{split}": column["ranked-d-far"] - column["ranked-d-near"],
        }
    best_tenth = np.sort(subsets.scores)[-max(1, len(subsets.scores) // 10) :].mean()
    gains = pair_gains(outcome.evaluator, "ood")
    found |= {
        "greedy-greedier/ingredients": ingredients_needed(outcome.selections["greedy"], outcome.selections["greedier"]),
        "subsets/rank_correlation": spearman(subsets.diversity, subsets.scores),
        "subsets/most_diverse_shortfall": 100 * (best_tenth - subsets.scores[subsets.most_diverse]),
        "paths/convergence": (together := convergence(outcome)),
        "paths/convergence_beyond_chance": together - chance_convergence(outcome, seeds),
        "mechanics/slope_minus_two": soup_against_ensemble(outcome, [t for t in SCALES if t <= SMALL]).slope - 2,
        "pairs/gain_ood": 100 * gains[np.triu_indices(len(gains), 1)].mean(),
        "pairs/rank_correlation_d_D": pair_correlation(outcome.distances["d_D ood"], gains),
        "pairs/rank_correlation_d_E": pair_correlation(outcome.distances["d_E"], gains),
        "distances/correlation": pair_correlation(outcome.distances["d_D id_test"], outcome.distances["d_E"]),
    }
    for rule in VARIANTS:
        found |= {f"{rule}/size": float(table.loc[rule, "size"]), f"{rule}/evaluations": float(table.loc[rule, "evaluations"])}
    return {name: float(value) for name, value in found.items() if value is not None}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means over repeats for each held-out domain and rule; `+-` is half of the 95 % t interval of the column before it."""
    groups = table.groupby(["held_out", "rule"], sort=False)
    columns = {"n": groups.size()}
    for name in ("id_val", "id_test", "ood"):
        columns[name] = groups[name].mean()
        columns[f"{name} +-"] = groups[name].sem() * t.ppf(0.975, groups.size().clip(lower=2) - 1)
    for name in ("area id_test", "size", "evaluations", "diversity d_D ood", "diversity d_E"):
        columns[name] = groups[name].mean()
    return pd.DataFrame(columns)


def over_repeats(rows: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, list[float]]:
    """metric -> one value per repeat, each the mean over held-out domains, so that n counts independent repeats.

    A repeat in which a metric is undefined everywhere does not count.
    """
    frame = pd.DataFrame([{"repeat": repeat, **found} for repeat, found in rows]).groupby("repeat").mean()
    return {name: frame[name].dropna().tolist() for name in frame}


def connectivity_pairs(matrix: Matrix) -> dict[str, tuple[int, int]]:
    """The nearest and the farthest pair of a distance matrix."""
    pairs = list(combinations(range(len(matrix)), 2))
    values = [matrix[i, j] for i, j in pairs]
    return {"near": pairs[int(np.argmin(values))], "far": pairs[int(np.argmax(values))]}


def gram_error(outcome: Outcome) -> float:
    """Largest relative difference between d_E of the final soups from the Gram matrix and from their averaged weights."""
    soups = [selection.members for selection in outcome.selections.values()]
    fast = outcome.evaluator.distances("weights", soups, "id_val")
    weights = outcome.evaluator.weights(soups).double()
    direct = torch.cdist(weights, weights, compute_mode="donot_use_mm_for_euclid_dist")
    return float((fast - direct).abs().max() / direct.max().clamp(min=1e-12))
