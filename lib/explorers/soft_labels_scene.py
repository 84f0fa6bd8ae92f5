"""The scene of the soft-labels explorer, out of the study's own results."""

import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lib.distillation.experiment import Outcome
from lib.distillation.lessons import Prepared
from lib.distillation.measures import summarised
from lib.distillation.setup import Setup
from lib.distillation.students import Arm, train_students
from lib.explorers.soft_labels_state import Scene
from lib.seeds import Seeds

LIVE_STUDENTS, LIVE_STEPS = 3, 150
MOST_SIDE = 64  # pixels of a photograph that the browser gets


def scene_of(prepared: Prepared, found: Outcome, setup: Setup, seeds: Seeds, ipc: int) -> Scene:
    """The images of the first draw at one budget with its own expert's logits, and what the study measured.

    Live training takes a few students through fewer steps than the study's, on these images, at the study's first rate.
    """
    task, draw = prepared.task, prepared.draws[0]
    budget = next(each for each in draw.budgets if each.ipc == ipc)
    rows = budget.rows.to(task.x_train.device)
    x, labels = task.x_train[rows], task.y_train[rows].cpu()
    experts = prepared.table.query("draw == 0 and expert_lr == @setup.main_lr").set_index("epoch")

    def train(q: torch.Tensor) -> torch.Tensor:
        students = train_students(
            setup.network(task), x.to(task.y_train.device), [Arm("now", q)], students=LIVE_STUDENTS, steps=LIVE_STEPS,
            lr=setup.lrs[0], seeds=seeds, **setup.student_recipe(task),
        )  # fmt: skip
        return students.accuracy(task.x_test, task.y_test)[0]

    table = found.labellers
    cut = found.top[found.top["ipc"].isin(setup.structure_ipcs)]  # elsewhere draws differ in their epochs
    by_expert = table[table["kind"].isin(["epoch", "temperature"])]
    return Scene.of(
        small(task.pictures(x).cpu()), labels, task.class_names, budget.own[setup.main_lr].cpu(), setup.epochs,
        experts.loc[list(setup.epochs), "test"].tolist(),
        _means(by_expert, ["ipc", "epoch", "temperature"]), _means(table[table["kind"] == "hard"], ["ipc"]),
        swap=_means(found.swap, ["ipc", "k"]), top=_means(cut, ["ipc", "epoch", "k"]),
        zero=_means(found.zero, ["ipc", "subject", "arm"]),
        measured_with="each draw's best epoch", train=train,
    )  # fmt: skip


def small(pictures: Float[Tensor, "n h w *rgb"]) -> Float[Tensor, "n h w *rgb"]:
    """Photographs larger than a browser needs, averaged down."""
    if pictures.dim() == 3 or pictures.shape[1] <= MOST_SIDE:
        return pictures
    return F.adaptive_avg_pool2d(pictures.permute(0, 3, 1, 2), MOST_SIDE).permute(0, 2, 3, 1)


def _means(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return summarised(table, keys).rename(columns={"mean": "accuracy"})[[*keys, "accuracy", "low", "high"]]
