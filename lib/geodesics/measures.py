"""The numbers that the study's claims rest on, one value for each repeat."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lib.geodesics.arms import FEW, GEODESIC, MIXUP, NEAREST, SUBPOOL, UNIFORM, UNION
from lib.geodesics.checks import ToyReport
from lib.geodesics.scores import grid_correlations
from lib.geodesics.transfer import Transfer, Trial

RIVALS = {
    "few_shot": FEW,
    "mixup": MIXUP,
    "uniform": UNIFORM,
    "union": UNION,
    "sub_pooling": SUBPOOL,
    "nearest_neighbour": NEAREST,
}


def nearest_source(trial: Trial) -> str:
    """The source whose labelled distance from the target is smallest: what one would pretrain on without interpolation."""
    values = torch.stack([found.value for found in trial.hull.distances])
    return list(trial.episode.sources)[int(values.argmin())]


def transfer_measurements(found: Transfer) -> dict[str, list[float]]:
    """Accuracy of the main arms in %, the geodesic arm less each rival in points, and the grid's rank correlation."""
    wide = found.arms.pivot(index="repeat", columns="arm", values="accuracy")
    rivals = {name: wide[arm].to_numpy() for name, arm in RIVALS.items()}
    repeats = range(len(found.trials))
    rivals["nearest_source"] = np.array([wide.loc[r, nearest_source(found.trials[r])] for r in repeats])
    rivals["best_source"] = wide[list(found.trials[0].episode.sources)].max(axis=1).to_numpy()
    ours = wide[GEODESIC].to_numpy()
    numbers = {"accuracy/geodesic": ours, "accuracy/few_shot": rivals["few_shot"]}
    numbers |= {f"geodesic-{name}": ours - theirs for name, theirs in rivals.items()}
    numbers["grid/rank_correlation"] = grid_correlations(found.grid).dropna().to_numpy()
    return {name: values.tolist() for name, values in numbers.items()}


def toy_measurements(reports: Sequence[ToyReport]) -> dict[str, list[float]]:
    """How well the toy's predictions hold: relative error at a*, and what uniform weights and mixup lose in exact distance."""
    best = [report.table.loc["best"] for report in reports]
    return {
        "toy/predicted": [row["predicted"] for row in best],
        "toy/relative_error": [abs(row["exact"] / row["predicted"] - 1) for row in best],
        "toy/uniform_excess": [r.table.loc["uniform", "exact"] - row["exact"] for r, row in zip(reports, best, strict=True)],
        "toy/mixup_excess": [row["mixup"] - row["exact"] for row in best],
    }


def shift_measurements(distances: Float[Tensor, "R A"], renamed: Sequence[float]) -> dict[str, list[float]]:
    """The smallest step of the distances along growing shifts, and the distance that renaming the classes makes."""
    return {"shift/smallest_increase": distances.diff(dim=1).amin(1).tolist(), "shift/renamed": list(renamed)}
