"""Labels learned without any expert, beside the labels of one expert and of an ensemble."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from jaxtyping import Float, Int64
from torch import Tensor

from lib.distillation.labels import ensemble, entropy, hard, jensen_shannon, shuffled_rest, smoothed, soften, top_overlap
from lib.distillation.learned import Unroll, learn_labels
from lib.distillation.structure import Lesson

STEPS, WINDOW, LEARNING_RATE, REAL, START, TOP = 60, 20, 0.1, 256, 1 / 3, 2


@dataclass(frozen=True, eq=False)
class Comparison:
    """`rows`: the images' row numbers in the training part; `labels`: arm -> q, of hard, expert, ensemble and learned.

    `table`: arm, test accuracy in %, entropy in nats, `js <other arm>` (Jensen-Shannon divergence in nats) and `overlap
    <other arm>` (share of the two likeliest classes; NaN for hard labels, which name one) for each arm, means over images.
    `nearness`: as `nearness` returns it, for labels "learned", and "shuffled" (the same with each image's rest shuffled).
    `losses`: of the outer steps.
    """

    rows: Int64[Tensor, "n"]
    labels: Mapping[str, Float[Tensor, "n C"]]
    table: pd.DataFrame
    nearness: pd.DataFrame
    losses: Float[Tensor, "steps"]


def compare_learned(lesson: Lesson) -> Comparison:
    """Learn labels of the lesson's images by truncated back-propagation through students' training, and compare.

    They start from smoothed labels, so that no expert has a part in them. Expert and ensemble are those after the lesson's epoch.
    """
    setup, task, seeds = lesson.setup, lesson.task, lesson.seeds.child("learned")
    onehot = hard(lesson.truth, task.classes)
    unroll = Unroll(STEPS, WINDOW, setup.lrs[0], setup.momentum, setup.weight_decay)
    found = learn_labels(
        setup.network(task), lesson.x, smoothed(lesson.truth, task.classes, START).log(), task.x_train, task.y_train,
        unroll=unroll, outer_steps=setup.learned_steps, lr=LEARNING_RATE, batch=min(REAL, len(task.x_train)), seeds=seeds,
    )  # fmt: skip
    q = soften(found.logits)
    together = soften(lesson.budget.together[setup.epochs.index(lesson.epoch)])
    labels = {"hard": onehot, "expert": lesson.q, "ensemble": together, "learned": q}
    tests = {name: lesson.known(kind)["test"] for name, kind in (("hard", "hard"), ("expert", "epoch"), ("ensemble", "ensemble"))}
    table = _table(labels, tests | lesson.test({"learned": q})).assign(epoch=lesson.epoch)
    both = {"learned": q, "shuffled": shuffled_rest(q, seeds.child("shuffle"))}
    near = [nearness(each, lesson.budget.each, setup.epochs).assign(labels=name) for name, each in both.items()]
    return Comparison(lesson.budget.rows, labels, table, pd.concat(near, ignore_index=True), found.losses)


def nearness(q: Float[Tensor, "n C"], logits: Float[Tensor, "epochs E n C"], epochs: Sequence[int]) -> pd.DataFrame:
    """epoch, expert, ensemble: mean JS(q, .) in nats to the labels of E experts, one by one and on average, and of all together.

    JS is convex, so labels with no bearing on the experts are a little nearer to their mean, too: compare with a control.
    """
    rows = []
    for epoch, z in zip(epochs, logits, strict=True):
        single = [jensen_shannon(q, soften(one)).mean().item() for one in z]
        rows.append((epoch, sum(single) / len(single), jensen_shannon(q, soften(ensemble(z))).mean().item()))
    return pd.DataFrame(rows, columns=["epoch", "expert", "ensemble"])


def _table(labels: Mapping[str, Tensor], tests: Mapping[str, float]) -> pd.DataFrame:
    rows = []
    for arm, q in labels.items():
        js = {f"js {other}": jensen_shannon(q, r).mean().item() for other, r in labels.items()}
        ranked = {} if arm == "hard" else {other: r for other, r in labels.items() if other != "hard"}
        overlap = {f"overlap {other}": top_overlap(q, r, TOP).mean().item() for other, r in ranked.items()}
        rows.append({"arm": arm, "test": tests[arm], "entropy": entropy(q).mean().item(), **js, **overlap})
    return pd.DataFrame(rows)
