"""What in soft labels teaches: the same labels, taken apart in controlled ways, and students of what is left."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from lib.distillation.labels import (
    entropy,
    hard,
    mean_rest,
    remove_label,
    shuffled_rest,
    smoothed,
    smoothing_of_entropy,
    soften,
    swap_k,
    top_k,
    without_images,
)
from lib.distillation.lessons import Budget, images_of, truth_of
from lib.distillation.pool import Task
from lib.distillation.setup import Setup
from lib.distillation.students import Arm
from lib.distillation.tuning import tuned
from lib.seeds import Seeds

CONTROL = "control"
RANDOM = -1  # in place of a bin: images drawn from all of them
MOST_RANKS = 12


@dataclass(frozen=True, eq=False)
class Lesson:
    """One budget's images with the labels that are taken apart: those of the own expert after `epoch`.

    `x`, `truth`: the images and their classes; `q`: the labels. `seeds`: the draw's.
    """

    task: Task
    setup: Setup
    budget: Budget
    seeds: Seeds
    labellers: pd.DataFrame
    epoch: int
    x: Shaped[Tensor, "n *row"]
    truth: Int64[Tensor, "n"]
    q: Float[Tensor, "n C"]

    @classmethod
    def of(cls, task: Task, budget: Budget, setup: Setup, seeds: Seeds, labellers: pd.DataFrame) -> "Lesson":
        """The labels of the setup's epoch, or of the epoch whose student is best on validation at this budget."""
        mine = labellers[labellers["kind"] == "epoch"]
        epoch = setup.structure_epoch or int(mine.loc[mine["validation"].idxmax(), "epoch"])
        q, truth = own_labels(budget, setup, epoch), truth_of(task, budget.rows)
        return cls(task, setup, budget, seeds, labellers, epoch, images_of(task, budget.rows), truth, q)

    def taught(self, arms: dict[str, Float[Tensor, "n C"]]) -> pd.DataFrame:
        """arm, lr (chosen on validation), validation, test: of a student of each way of labelling the images."""
        ways = [Arm(name, labels) for name, labels in arms.items()]
        return tuned(self.task, self.x, ways, self.setup, self.seeds.child("students")).table(self.task)

    def test(self, arms: dict[str, Float[Tensor, "n C"]]) -> dict[str, float]:
        """Test accuracy in % of a student of each way of labelling the images."""
        found = self.taught(arms)
        return dict(zip(found["arm"], found["test"], strict=True))

    def known(self, kind: str, epoch: int | None = None) -> dict[str, float]:
        """lr, validation, test of the labeller of this kind, trained before; if it has epochs, after `epoch` or the lesson's."""
        rows, wanted = self.labellers[self.labellers["kind"] == kind], self.epoch if epoch is None else epoch
        found = rows[rows["epoch"].isna() | (rows["epoch"] == wanted)].iloc[0]
        return {name: float(found[name]) for name in ("lr", "validation", "test")}


def own_labels(budget: Budget, setup: Setup, epoch: int) -> Float[Tensor, "n C"]:
    """The main labels of a budget's images: those of the draw's own expert after `epoch`.

    Errors: ValueError that lists the stored epochs for another one.
    """
    if epoch not in setup.epochs:
        raise ValueError(f"epoch: got {epoch}, stored are {', '.join(map(str, setup.epochs))}")
    return soften(budget.own[setup.main_lr][setup.epochs.index(epoch)])


def structure_tables(lesson: Lesson, subjects: Sequence[int]) -> dict[str, pd.DataFrame]:
    """`top` at every budget, with more epochs at the setup's structure_ipcs; the others there only, else empty tables.

    `selection` at the last of them, if it was not left out.
    """
    found = {name: pd.DataFrame() for name in ("structure", "swap", "zero", "selection")} | {"top": top_table(lesson)}
    if lesson.budget.ipc in lesson.setup.structure_ipcs:
        found |= {"structure": structure_table(lesson), "swap": swap_table(lesson), "zero": zero_table(lesson, subjects)}
    return found | ({} if lesson.budget.selection is None else {"selection": selection_table(lesson)})


def structure_table(lesson: Lesson) -> pd.DataFrame:
    """arm, test: the labels as they are; smoothing with their mean entropy; each image's rest shuffled; the class's mean rest."""
    q, truth = lesson.q, lesson.truth
    amount = smoothing_of_entropy(entropy(q).mean().item(), q.shape[1])
    found = lesson.test(
        {
            "equal-entropy smoothing": smoothed(truth, q.shape[1], amount),
            "shuffled rest": shuffled_rest(q, lesson.seeds.child("shuffle", lesson.budget.ipc)),
            "mean rest": mean_rest(q, truth),
        }
    )
    return _table({CONTROL: lesson.known("epoch")["test"]} | found, "arm", lesson.epoch)


def swap_table(lesson: Lesson) -> pd.DataFrame:
    """k, test: the k-th largest probability of every image exchanged with the smallest; k = 0 is the control."""
    found = lesson.test({str(k): swap_k(lesson.q, k) for k in swap_ranks(lesson.q.shape[1])})
    return _table({0: lesson.known("epoch")["test"]} | {int(k): test for k, test in found.items()}, "k", lesson.epoch)


def swap_ranks(classes: int) -> list[int]:
    """Ranks 1..C-1 to swap: all of them for up to a dozen, else about a dozen evenly apart on a log scale."""
    if classes <= MOST_RANKS + 1:
        return list(range(1, classes))
    return np.unique(np.geomspace(1, classes - 1, MOST_RANKS).round().astype(int)).tolist()


def top_table(lesson: Lesson) -> pd.DataFrame:
    """epoch, k, lr, validation, test: the k largest probabilities of the own expert's labels kept, not renormalised.

    k = 0 is hard labels (the same student at every epoch), k = C all of them. At structure_ipcs after every stored epoch, else
    after the lesson's alone; `chosen`: whether it is that.
    """
    setup, classes = lesson.setup, lesson.q.shape[1]
    epochs = setup.epochs if lesson.budget.ipc in setup.structure_ipcs else (lesson.epoch,)
    between = [k for k in sorted(set(setup.top_ks)) if k not in (0, classes)]
    places = {f"epoch {epoch}, top {k}": (epoch, k) for epoch in epochs for k in between}
    cut = {name: top_k(own_labels(lesson.budget, setup, epoch), k, lesson.truth) for name, (epoch, k) in places.items()}
    trained = lesson.taught(cut).set_index("arm").to_dict("index") if cut else {}
    found = {places[name]: facts for name, facts in trained.items()}
    for epoch in epochs:
        found |= {(epoch, 0): lesson.known("hard"), (epoch, classes): lesson.known("epoch", epoch)}
    rows = [{"epoch": epoch, "k": k, **found[epoch, k], "chosen": epoch == lesson.epoch} for epoch, k in sorted(found)]
    return pd.DataFrame(rows)


def zero_table(lesson: Lesson, subjects: Sequence[int]) -> pd.DataFrame:
    """subject, arm, test on that class alone: control; no image of it; no label of it in others' rows; hard without image."""
    q, truth = lesson.q, lesson.truth
    onehot, arms = hard(truth, q.shape[1]), [Arm(CONTROL, q)]
    for s in subjects:
        others = without_images(truth, q.shape[1], s)
        arms.append(Arm(f"no image {s}", q, others))
        arms.append(Arm(f"no label {s}", remove_label(q, truth, s)))
        arms.append(Arm(f"hard without image {s}", onehot, others))
    trained = tuned(lesson.task, lesson.x, arms, lesson.setup, lesson.seeds.child("students"))
    rows = []
    for s in subjects:
        found = trained.on_class(lesson.task, s)
        rows.append((s, CONTROL, found[CONTROL]))
        rows += [(s, name, found[f"{name} {s}"]) for name in ("no image", "no label", "hard without image")]
    return pd.DataFrame(rows, columns=["subject", "arm", "test"]).assign(epoch=lesson.epoch)


def selection_table(lesson: Lesson) -> pd.DataFrame:
    """bin, labels (soft, hard), test: of as many images from each bin of difficulty, bin 0 the easiest, and RANDOM ones.

    Soft labels are the own expert's after the lesson's epoch for all; starts, steps and batches are those of the random images.
    """
    task, setup, chosen = lesson.task, lesson.setup, lesson.budget.selection
    bins, n = chosen.rows.shape
    rows, places = chosen.rows.flatten(), torch.arange(bins * n).view(bins, n)
    soft = soften(chosen.logits[setup.epochs.index(lesson.epoch)])
    ways = {"soft": soft, "hard": hard(truth_of(task, rows), task.classes)}
    keys = [(b, name) for name in ways for b in range(bins)]
    arms = [Arm(f"{name} {b}", ways[name], places[b]) for b, name in keys]
    alike = replace(setup, batch_size=min(setup.batch_size, n))
    tests = tuned(task, images_of(task, rows), arms, alike, lesson.seeds.child("students")).table(task)["test"]
    found = [(*key, test) for key, test in zip(keys, tests, strict=True)]
    found += [(RANDOM, name, lesson.known(kind)["test"]) for name, kind in (("soft", "epoch"), ("hard", "hard"))]
    return pd.DataFrame(found, columns=["bin", "labels", "test"]).assign(epoch=lesson.epoch)


def _table(found: dict, key: str, epoch: int) -> pd.DataFrame:
    return pd.DataFrame({key: list(found), "test": list(found.values()), "epoch": epoch})
