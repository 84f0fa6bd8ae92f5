"""Numbers of the updates themselves, and of what was written: geometry, variety, and whether judges agree."""

from itertools import combinations

import numpy as np
import pandas as pd

from lib.language.geometry import Gram, gram
from lib.language.intervals import FEWEST_SETS, Measured, bare, measured
from lib.language.judging import agreement
from lib.language.outcome import Outcome, distinct, repetition
from lib.language.setup import CORRELATED, Setup
from lib.language.weights import NEGATIVE, POSITIVE, SIGNS
from lib.seeds import Seeds

Measurements = dict[str, Measured]


def study_gram(outcome: Outcome, setup: Setup, repeat: int = 0) -> Gram:
    """Inner products of the study's own 2n updates."""
    adapters = outcome.anchors[repeat]
    return gram({(name, sign): adapters[name, sign] for name in setup.attributes for sign in SIGNS})


def direction_cosine(products: Gram, one: str, other: str) -> float:
    """Cosine of two attributes' directions, each the positive update less the negative one."""
    total = products.values.sum(0).numpy()
    rows = np.zeros((2, len(products.names)))
    for row, name in zip(rows, (one, other), strict=True):
        row[products.names.index((name, POSITIVE))], row[products.names.index((name, NEGATIVE))] = 1, -1
    inner = rows @ total @ rows.T
    return float(inner[0, 1] / np.sqrt(inner[0, 0] * inner[1, 1]))


def geometry_measurements(outcome: Outcome, setup: Setup) -> Measurements:
    """`cosine/across_mean`: of updates of different attributes; `cosine/opposite_mean`: of the two of one attribute;
    `cosine/direction_largest`: the largest |cosine| of two attributes' directions. With the tied pair: `tied/cosine`,
    `apart/cosine` of directions, `tied-apart/cosine` the difference of the sizes. n counts pairs, or sets of anchors.
    """
    sets = [_cosines(study_gram(outcome, setup, repeat), setup) for repeat in outcome.repeats]
    if setup.correlated:
        for repeat, numbers in zip(outcome.repeats, sets, strict=True):
            numbers |= _tied_cosines(outcome, repeat)
    pairs = len(setup.attributes) * (len(setup.attributes) - 1) // 2
    counts = {"cosine/across_mean": 4 * pairs, "cosine/opposite_mean": len(setup.attributes), "cosine/direction_largest": pairs}
    return {name: _of_sets([one[name] for one in sets], counts.get(name, 1)) for name in sets[0]}


def _of_sets(values: list[float], n: int) -> Measured:
    if len(values) >= FEWEST_SETS:
        return measured([np.array([value]) for value in values], n)
    return bare(float(np.mean(values)), n)


def _cosines(products: Gram, setup: Setup) -> dict[str, float]:
    table = products.cosines().numpy()
    named = list(enumerate(products.names))
    across = [table[i, j] for (i, a), (j, b) in combinations(named, 2) if a[0] != b[0]]
    opposite = [table[i, j] for (i, a), (j, b) in combinations(named, 2) if a[0] == b[0]]
    directions = [abs(direction_cosine(products, one, other)) for one, other in combinations(setup.attributes, 2)]
    return {
        "cosine/across_mean": float(np.mean(across)), "cosine/opposite_mean": float(np.mean(opposite)),
        "cosine/direction_largest": max(directions),
    }  # fmt: skip


def _tied_cosines(outcome: Outcome, repeat: int) -> dict[str, float]:
    adapters, (apart, tied, other) = outcome.anchors[repeat], CORRELATED
    products = gram({(name, sign): adapters[name, sign] for name in CORRELATED for sign in SIGNS})
    found = {"apart/cosine": direction_cosine(products, apart, other), "tied/cosine": direction_cosine(products, tied, other)}
    return found | {"tied-apart/cosine": abs(found["tied/cosine"]) - abs(found["apart/cosine"])}


def text_measurements(outcome: Outcome, setup: Setup, seeds: Seeds) -> Measurements:
    """`distinct/anchors`, `distinct/far`: different pairs of words as a share, mean over attributes, at the anchors and at the
    last alpha; `repetition/...` likewise. `agreement/spearman_least`: rank correlation of the first two judges over all texts.
    """
    places = {"anchors": (0.0, 1.0), "far": (setup.path[-1],)}
    found: Measurements = {}
    for name, statistic in (("distinct", distinct), ("repetition", repetition)):
        for where, alphas in places.items():
            values = [
                statistic(outcome.written(outcome.curve("alpha", attribute)[alpha], repeat))
                for attribute in setup.attributes
                for alpha in alphas
                for repeat in outcome.repeats
            ]
            found[f"{name}/{where}"] = bare(float(np.mean(values)), len(values))
    table = agreement_table(outcome, setup, seeds)
    return found | ({"agreement/spearman_least": _least(table)} if len(table) else {})


def _least(table: pd.DataFrame) -> Measured:
    row = table.loc[table["spearman"].idxmin()]
    return Measured(*(float(row[f"spearman{end}"]) for end in ("", "_low", "_high")), int(row["n"]))


def agreement_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """For each attribute how far its judges agree on all that was written (`lib.language.judging.agreement`)."""
    tables = []
    for name in setup.attributes:
        chosen = outcome.scores[outcome.scores["attribute"] == name]
        columns = chosen.pivot_table(index=["repeat", "mix", "prompt", "sample"], columns="judge", values="score")
        judges = {judge: columns[judge].to_numpy() for judge in setup.judges if np.ptp(columns[judge]) > 0}
        if len(judges) > 1 and len(columns) >= 10:
            tables.append(agreement(judges, seeds.child(name)).assign(attribute=name))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
