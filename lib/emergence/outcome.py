"""What became of every seed at every scale: tidy tables, and the arrays that statistics are computed from."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

METRICS = ("exact", "token", "nll")


@dataclass(frozen=True, eq=False)
class Outcome:
    """Tidy tables of all scales.

    `grades`: scale, seed, step, length, exact and token (shares), nll (nats per token): a row for each checkpoint and exam.
    `losses`: scale, seed, loss: training loss, mean of the last minibatches, in nats per token.
    A seed whose training diverged has NaN in all of them.
    """

    grades: pd.DataFrame
    losses: pd.DataFrame

    def final(self, length: int, metric: str = "exact") -> Float64[np.ndarray, "S K"]:
        """The metric after the last step: ascending scales by seeds. ValueError for an unknown length or metric."""
        return self._table(self.grades["step"] == self.grades["step"].max(), length, metric, "scale")

    def curves(self, scale: int, length: int, metric: str = "exact") -> Float64[np.ndarray, "C K"]:
        """The metric while training at one scale: checkpoints by seeds. ValueError for what is not there."""
        if scale not in set(self.grades["scale"]):
            raise ValueError(f"scale: got {scale}, allowed are {', '.join(map(str, self.scales))}")
        return self._table(self.grades["scale"] == scale, length, metric, "step")

    def ends(self) -> pd.DataFrame:
        """scale, seed, length, exact, token, nll, loss: of every seed after its last step."""
        last = self.grades[self.grades["step"] == self.grades["step"].max()]
        return last.drop(columns="step").merge(self.losses, on=["scale", "seed"], validate="many_to_one")

    @classmethod
    def of_ends(cls, table: pd.DataFrame, steps: int) -> "Outcome":
        """The outcome whose `ends` are this table, after `steps` steps; it has no other checkpoint."""
        keys = ["scale", "seed"]
        grades = table[[*keys, "length", *METRICS]].assign(step=steps)
        return cls(grades[[*keys, "step", "length", *METRICS]], table[[*keys, "loss"]].drop_duplicates(keys, ignore_index=True))

    @property
    def scales(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(sorted(self.grades["scale"].unique().tolist()))

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the exams, ascending."""
        return tuple(sorted(self.grades["length"].unique().tolist()))

    def _table(self, rows: pd.Series, length: int, metric: str, index: str) -> Float64[np.ndarray, "_ K"]:
        if length not in self.lengths:
            raise ValueError(f"length: got {length}, allowed are {', '.join(map(str, self.lengths))}")
        if metric not in METRICS:
            raise ValueError(f"metric: got {metric!r}, allowed are {', '.join(METRICS)}")
        chosen = self.grades[rows & (self.grades["length"] == length)]
        return chosen.pivot(index=index, columns="seed", values=metric).to_numpy(np.float64)


def joined(outcomes: Iterable[Outcome]) -> Outcome:
    """One outcome with the rows of all. ValueError for none."""
    found = list(outcomes)
    if not found:
        raise ValueError("outcomes: got none, allowed is one or more")
    tables = ([getattr(one, name) for one in found] for name in ("grades", "losses"))
    return Outcome(*(pd.concat(parts, ignore_index=True) for parts in tables))
