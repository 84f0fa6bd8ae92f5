"""A small real scene for the tests of the soft-labels explorer: an expert of the digits, and students measured for a moment.

Run as a script by the tests in Python, and as a notebook's cell by those in the browser; both use `scene`.
"""

import pandas as pd
import torch

from lib.distillation.experts import train_experts
from lib.distillation.labels import hard, remove_label, soften, swap_k, top_k, without_images
from lib.distillation.pool import load_task, nested_draw
from lib.distillation.students import Arm, train_students
from lib.explorers.soft_labels_state import Scene
from lib.nets import MLP
from lib.seeds import Seeds

torch.set_num_threads(1)  # nets so small lose by a second thread, and on a busy machine wait for it

SEEDS, EPOCHS, BUDGETS, HERE, SUBJECTS, STUDENTS = Seeds(0), (0, 1, 2, 4, 8, 16), (1, 2, 5), 2, (3, 8), 3
SETTING = {"students": STUDENTS, "steps": 60, "batch_size": 256, "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}

task = load_task("digits")
net = MLP((64, 32, 10))
experts = train_experts(task, net, experts=1, epochs=EPOCHS, batch_size=50, lr=0.05, momentum=0.0, seeds=SEEDS.child("expert"))
draw = nested_draw(task.y_train, BUDGETS, SEEDS.child("images"))


def students(ipc, arms):
    return train_students(net, task.x_train[draw[ipc]], arms, seeds=SEEDS.child("students"), **SETTING)


def summary(rows, keys):
    """Mean, least and largest accuracy of the students of each key."""
    found = pd.DataFrame(rows, columns=[*keys, "value"]).groupby(keys, sort=False)["value"]
    return found.agg(accuracy="mean", low="min", high="max").reset_index()


labellers = [(epoch, 1.0) for epoch in EPOCHS] + [(16, 2.0), (16, 4.0)]
bought, plain, swapped, cut, zero = [], [], [], [], []
for ipc, rows in draw.items():
    y = task.y_train[rows]
    logits = {epoch: experts.logits(epoch, task.x_train[rows])[0] for epoch in EPOCHS}
    arms = {("soft", *each): Arm(f"{each}", soften(logits[each[0]], each[1])) for each in labellers}
    arms["hard",] = Arm("hard", hard(y, 10))
    q = soften(logits[4])
    if ipc == HERE:
        arms |= {("swap", k): Arm(f"swap {k}", swap_k(q, k) if k else q) for k in (0, 1, 3, 9)}
        arms |= {("top", k): Arm(f"top {k}", top_k(q, k, y)) for k in (0, 1, 3, 10)}
        for subject in SUBJECTS:
            left = without_images(y, 10, subject)
            arms["zero", subject, "control"] = Arm(f"control {subject}", q)
            arms["zero", subject, "no image"] = Arm(f"no image {subject}", q, left)
            arms["zero", subject, "no label"] = Arm(f"no label {subject}", remove_label(q, y, subject))
            arms["zero", subject, "hard, no image"] = Arm(f"hard {subject}", hard(y, 10), left)
    trained = students(ipc, list(arms.values()))
    accuracy = trained.accuracy(task.x_test, task.y_test)
    for a, (kind, *key) in enumerate(arms):
        values = accuracy[a]
        if kind == "zero":
            values = trained.class_accuracy(task.x_test, task.y_test, key[0])[a]
        rows_of = {"soft": bought, "hard": plain, "swap": swapped, "top": cut, "zero": zero}[kind]
        start = {"soft": [ipc, *key], "hard": [ipc], "swap": [ipc, *key], "top": [ipc, 4, *key], "zero": key}[kind]
        rows_of.extend([*start, value] for value in values.tolist())


def train(labels):
    return students(HERE, [Arm("now", labels)]).accuracy(task.x_test, task.y_test)[0]


x = task.x_train[draw[HERE]]
parts = {
    "images": task.pictures(x).clamp(0, 1),
    "labels": task.y_train[draw[HERE]],
    "class_names": task.class_names,
    "logits": torch.stack([experts.logits(epoch, x)[0] for epoch in EPOCHS]),
    "epochs": EPOCHS,
    "expert_accuracy": experts.accuracy[:, 0],
    "students": summary(bought, ["ipc", "epoch", "temperature"]),
    "hard": summary(plain, ["ipc"]),
    "swap": summary(swapped, ["ipc", "k"]),
    "top": summary(cut, ["ipc", "epoch", "k"]),
    "zero": summary(zero, ["subject", "arm"]),
    "measured_with": "labels of epoch 4",
}
scene = Scene.of(**parts, train=train)
