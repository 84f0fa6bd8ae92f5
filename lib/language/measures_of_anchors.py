"""Numbers of the updates themselves, and of what was written: geometry, variety, and whether judges agree."""

from collections.abc import Hashable
from itertools import combinations

import numpy as np
import pandas as pd

from lib.language.geometry import Gram, gram, row_cosines
from lib.language.intervals import FEWEST_SETS, Measured, bare, measured
from lib.language.judging import agreement
from lib.language.outcome import Outcome, distinct
from lib.language.setup import CORRELATED, Setup
from lib.language.weights import NEGATIVE, POSITIVE, SIGNS
from lib.seeds import Seeds

Measurements = dict[str, Measured]


def study_gram(outcome: Outcome, setup: Setup, repeat: int = 0) -> Gram:
    """Inner products of the study's own 2n updates."""
    adapters = outcome.anchors[repeat]
    return gram({(name, sign): adapters[name, sign] for name in setup.attributes for sign in SIGNS})


def direction_cosine(products: Gram, one: Hashable, other: Hashable) -> float:
    """Cosine of two attributes' directions, each the positive update less the negative one."""
    total = products.values.sum(0).numpy()
    rows = np.zeros((2, len(products.names)))
    for row, name in zip(rows, (one, other), strict=True):
        row[products.names.index((name, POSITIVE))], row[products.names.index((name, NEGATIVE))] = 1, -1
    inner = rows @ total @ rows.T
    return float(inner[0, 1] / np.sqrt(inner[0, 0] * inner[1, 1]))


def geometry_measurements(outcome: Outcome, setup: Setup) -> Measurements:
    """`cosine/rows_mean`: of updates of different attributes, row by row as the paper's code has it, and `cosine/rows_opposite`,
    of the two of one attribute; `cosine/mean`, `cosine/largest`, `cosine/opposite`: of whole updates;
    `cosine/direction_largest`: the largest |cosine| of two attributes' directions; with two sets or more
    `cosine/direction_again`: of an attribute's direction in one set and in the next, whose anchors learned the same from other
    starts, mean over attributes. With the tied pair: `tied/cosine`, `apart/cosine` of directions, `tied-apart/cosine` the
    difference. n counts pairs of updates or, with several, sets of anchors.
    """
    sets = [_cosines(outcome, setup, repeat) for repeat in outcome.repeats]
    if len(sets) > 1:
        for repeat, numbers in zip(outcome.repeats, sets, strict=True):
            numbers["cosine/direction_again"] = _direction_again(outcome, setup, repeat, (repeat + 1) % len(sets))
    if setup.correlated:
        for repeat, numbers in zip(outcome.repeats, sets, strict=True):
            numbers |= _tied_cosines(outcome, repeat)
    attributes = len(setup.attributes)
    pairs = attributes * (attributes - 1) // 2
    counts = {
        "rows_mean": 4 * pairs,
        "rows_opposite": attributes,
        "mean": 4 * pairs,
        "largest": 4 * pairs,
        "opposite": attributes,
    }
    counts = {f"cosine/{name}": count for name, count in counts.items()} | {"cosine/direction_largest": pairs}
    return {name: _of_sets([one[name] for one in sets], counts.get(name, 1)) for name in sets[0]}


def _of_sets(values: list[float], n: int) -> Measured:
    if len(values) >= FEWEST_SETS:
        return measured([np.array([value]) for value in values], n)
    return bare(float(np.mean(values)), n)


def _cosines(outcome: Outcome, setup: Setup, repeat: int) -> dict[str, float]:
    products = study_gram(outcome, setup, repeat)
    whole, by_row = (
        products.cosines().numpy(),
        row_cosines({name: outcome.anchors[repeat][name] for name in products.names}).numpy(),
    )
    pairs = list(combinations(range(len(products.names)), 2))
    one_attribute = np.array([products.names[i][0] == products.names[j][0] for i, j in pairs])
    whole, by_row = (np.array([table[pair] for pair in pairs]) for table in (whole, by_row))
    directions = [abs(direction_cosine(products, one, other)) for one, other in combinations(setup.attributes, 2)]
    return {
        "cosine/rows_mean": float(by_row[~one_attribute].mean()), "cosine/rows_opposite": float(by_row[one_attribute].mean()),
        "cosine/mean": float(whole[~one_attribute].mean()), "cosine/opposite": float(whole[one_attribute].mean()),
        "cosine/largest": float(np.abs(whole[~one_attribute]).max()), "cosine/direction_largest": max(directions),
    }  # fmt: skip


def _direction_again(outcome: Outcome, setup: Setup, one: int, other: int) -> float:
    """Cosine of an attribute's directions in two sets of anchors, mean over attributes."""
    found = []
    for name in setup.attributes:
        both = {(repeat, sign): outcome.anchors[repeat][name, sign] for repeat in (one, other) for sign in SIGNS}
        found.append(direction_cosine(gram(both), one, other))
    return float(np.mean(found))


def _tied_cosines(outcome: Outcome, repeat: int) -> dict[str, float]:
    adapters, (apart, tied, other) = outcome.anchors[repeat], CORRELATED
    products = gram({(name, sign): adapters[name, sign] for name in CORRELATED for sign in SIGNS})
    found = {"apart/cosine": direction_cosine(products, apart, other), "tied/cosine": direction_cosine(products, tied, other)}
    return found | {"tied-apart/cosine": found["tied/cosine"] - found["apart/cosine"]}


def text_measurements(outcome: Outcome, setup: Setup, seeds: Seeds) -> Measurements:
    """`distinct/anchors`, `distinct/far`: different pairs of words as a share, mean over attributes, at the anchors and at the
    last alpha. `agreement/spearman_least`: rank correlation of the first two judges over all texts.
    """
    found: Measurements = {}
    for where, alphas in {"anchors": (0.0, 1.0), "far": (setup.path[-1],)}.items():
        mixes = [outcome.curve("alpha", attribute)[alpha] for attribute in setup.attributes for alpha in alphas]
        values = [distinct(outcome.texts_of(mix, repeat)) for mix in mixes for repeat in outcome.repeats]
        found[f"distinct/{where}"] = bare(float(np.mean(values)), len(values))
    table = agreement_table(outcome, setup, seeds)
    return found | ({"agreement/spearman_least": _least(table)} if len(table) else {})


def _least(table: pd.DataFrame) -> Measured:
    row = table.loc[table["spearman"].idxmin()]
    return Measured(*(float(row[f"spearman{end}"]) for end in ("", "_low", "_high")), int(row["n"]))


def agreement_table(outcome: Outcome, setup: Setup, seeds: Seeds) -> pd.DataFrame:
    """For each attribute how far its judges agree on all that was written (`lib.language.judging.agreement`).

    Continuations of one prompt, under whatever mix, are one group: many of them begin alike or are the same.
    """
    tables = []
    for name in setup.attributes:
        chosen = outcome.scores[outcome.scores["attribute"] == name]
        columns = chosen.pivot_table(index=["repeat", "mix", "prompt", "sample"], columns="judge", values="score")
        judges = {judge: columns[judge].to_numpy() for judge in setup.judges if np.ptp(columns[judge]) > 0}
        if len(judges) > 1 and len(columns) >= 10:
            prompts = columns.index.get_level_values("prompt").tolist()
            tables.append(agreement(judges, prompts, seeds.child(name)).assign(attribute=name))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
