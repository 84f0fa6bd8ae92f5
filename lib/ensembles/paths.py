"""What a selection did, as numbers to plot: accuracy and diversity by soup size, and the points of a map."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import pandas as pd

from lib.ensembles.distances import Matrix, set_diversity
from lib.ensembles.selection import Selection
from lib.ensembles.soups import Evaluator
from lib.ensembles.walk import Members


def curve_table(
    evaluator: Evaluator, selection: Selection, splits: Sequence[str], distances: Mapping[str, Matrix]
) -> pd.DataFrame:
    """One row for each soup that the selection went through, the cost beside the gain.

    Columns: rule, size, added (model; missing for the uniform soup), n_evals (soup evaluations until then),
    `accuracy <split>` for each split, and `diversity <name>` for each K x K matrix in `distances` (missing
    where a set of one has none).
    """
    soups = [step.members for step in selection.curve]
    columns: dict[str, list] = {
        "rule": [selection.rule] * len(soups),
        "size": [len(members) for members in soups],
        "added": [step.candidate for step in selection.curve],
        "n_evals": [step.n_evals for step in selection.curve],
    }
    for split in splits:
        columns[f"accuracy {split}"] = evaluator.accuracy(soups, split)
    for name, matrix in distances.items():
        found = [set_diversity(matrix, members) for members in soups]
        columns[f"diversity {name}"] = [each.value if each.defined else None for each in found]
    return pd.DataFrame(columns)


def area_under_curve(sizes: Sequence[int], values: Sequence[float], n: int) -> float:
    """Mean over soup sizes 1..n of the value reached by then; a rule that stops early keeps its last value.

    Raises ValueError unless sizes rise from 1 to at most n, with one value for each.
    """
    rising = all(a < b for a, b in pairwise(sizes))
    if len(sizes) != len(values) or not sizes or sizes[0] != 1 or sizes[-1] > n or not rising:
        raise ValueError(f"sizes: got {list(sizes)} for {len(values)} values, allowed are sizes rising from 1, at most {n}")
    ends = [*sizes[1:], n + 1]
    return sum(value * (end - start) for start, end, value in zip(sizes, ends, values, strict=True)) / n


def map_points(selections: Sequence[Selection], n: int) -> dict[Members, int]:
    """Points of a joint map and their places: n single models, theta_0 (the empty soup), soups on the way.

    Keys are sorted members. Embed them together, once, so that the paths of all rules can be compared
    [rojas2024].
    """
    soups = [(k,) for k in range(n)] + [()]
    soups += [tuple(sorted(step.members)) for selection in selections for step in selection.curve]
    return {members: place for place, members in enumerate(dict.fromkeys(soups))}
