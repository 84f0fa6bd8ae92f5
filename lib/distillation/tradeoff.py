"""Data against knowledge: what every budget buys with labels of each stored epoch, whole or cut to their k largest entries.

An arm is an (epoch, k): k = C is the whole label, k = 0 the hard one, which has no epoch (NaN).
"""

import numpy as np
import pandas as pd

from lib.distillation.experiment import Outcome
from lib.distillation.measures import summarised, worth
from lib.distillation.scaling import attained

KEYS = ["draw", "ipc", "epoch", "k"]


def label_arms(outcome: Outcome, classes: int) -> pd.DataFrame:
    """draw, ipc, epoch, k, validation, test: one row for every arm that was tried in a draw at a budget.

    Cut labels were tried after every epoch at the setup's structure_ipcs, and after each draw's chosen epoch at others.
    """
    table, top = outcome.labellers, outcome.top
    hard = table[table["kind"] == "hard"].assign(k=0)
    whole = table[table["kind"] == "epoch"].assign(k=classes)
    cut = top[top["k"].between(1, classes - 1)].astype({"epoch": float})
    found = pd.concat([part[[*KEYS, "validation", "test"]] for part in (hard, cut, whole)])
    return found.sort_values(KEYS, na_position="first", ignore_index=True)


def scaling_curves(arms: pd.DataFrame) -> pd.DataFrame:
    """epoch, k, ipc, mean, low, high, n: test accuracy against budget of each arm, as `summarised`, where all draws tried it."""
    found = summarised(arms.sort_values(["epoch", "k", "ipc"], na_position="first"), ["epoch", "k", "ipc"])
    return found[found["n"] == arms["draw"].nunique()].reset_index(drop=True)


def frontier(arms: pd.DataFrame) -> pd.DataFrame:
    """draw, ipc, spent, epoch, k, validation, test, multiplier, bound: the upper envelope over epoch, k and budget of each draw.

    For each budget the arm that is best on validation images among those that cost at most as much (`spent`, images per class);
    its test accuracy had no part in the choice, so it may fall. `multiplier`: as `worth` says, for the budget `ipc`.
    """
    rows = []
    for _, mine in arms.groupby("draw"):
        budgets = np.unique(mine["ipc"])
        best = mine.iloc[attained(mine["ipc"], mine["validation"], budgets)]
        best = best.rename(columns={"ipc": "spent"}).assign(ipc=budgets)
        rows.append(worth(best, mine[mine["k"] == 0]))
    columns = ["draw", "ipc", "spent", *KEYS[2:], "validation", "test", "multiplier", "bound"]
    return pd.concat(rows, ignore_index=True)[columns]


def envelope_table(arms: pd.DataFrame) -> pd.DataFrame:
    """ipc, mean, low, high, n, epoch, k, spent, draws: test accuracy on the `frontier` by budget, as `summarised`.

    With the arm that attains it in most draws (of equals the earliest and smallest), and in how many.
    """
    found, arm = frontier(arms), ["epoch", "k", "spent"]
    counts = found.groupby(["ipc", *arm], dropna=False).size().rename("draws").reset_index()
    most = counts.loc[counts.groupby("ipc")["draws"].idxmax()]
    return summarised(found, ["ipc"]).merge(most, on="ipc")
