"""What the paper prints: its Tables 1, 2 and 7 [qin2024], read from images in its official repository."""

import pandas as pd

SOURCE = "Qin, Deng and Alvarez-Melis 2024, arXiv 2406.10485, Table {}, as read from the images in the official repository"

# Table 1, ImageNet-1K: budget -> test accuracy in % of students of random training images, by expert and student; and SRe2L's.
IMAGENET_METHODS = ("hard, R18", "R18 -> R18", "R18 -> R50", "R50 -> R18", "R50 -> R50", "CutMix, R18", "SRe2L (CutMix), R18")
IMAGENET = {
    1: (0.6, 6.6, 6.8, 6.7, 7.3, 1.6, 2.9),
    10: (3.9, 23.9, 24.0, 22.9, 23.9, 25.8, 21.3),
    50: (20.4, 47.9, 53.1, 43.0, 53.2, 54.3, 46.8),
    100: (28.2, 53.4, 57.6, 53.5, 58.3, 54.7, 52.8),
    200: (37.8, 56.8, 62.3, 56.5, 62.7, 57.7, 57.0),
}
# Standard deviations, where they were read.
IMAGENET_STD = {
    "hard, R18": (0.1, 0.6, 0.4, 0.3, 0.5),
    "R18 -> R18": (0.4, 0.4, 0.6, 0.5, 0.4),
    "SRe2L (CutMix), R18": (0.5, 0.6, 0.6, 0.3, 0.4),
}
IMAGENET_FULL = {"R18": 69.8, "R50": 76.1}

# Table 2, ConvNet students: task -> budget -> test accuracy in %; None where the table has none.
CONVNET_METHODS = ("RaT-BPTT", "MTT", "DM", "soft labels")
CONVNET = {
    "tiny-imagenet": {
        1: (20.1, 8.8, 3.9, 7.6), 10: (24.4, 23.2, 12.9, 27.2), 50: (None, 28.0, 24.1, 35.6), 100: (None, None, None, 38.2),
    },
    "cifar100": {
        1: (35.3, 24.3, 11.4, 16.0), 10: (47.5, 40.1, 29.7, 34.3), 50: (50.6, 47.7, 43.6, 47.1), 100: (None, None, None, 51.3),
    },
    "cifar10": {1: (53.2, 46.3, 26.0, 21.1), 10: (69.4, 65.3, 48.9, 46.3), 50: (75.3, 71.6, 63.0, 62.1)},
}  # fmt: skip
CONVNET_FULL = {"tiny-imagenet": 38.5, "cifar100": 56.4, "cifar10": 81.5}

# Table 7, the expert chosen at each budget: (epoch, its test accuracy in %, its rate, the student's rate); None where not read.
CHOSEN = {
    ("imagenet", "resnet18"): {
        1: (11, 17.3, 5e-4, 1e-3), 10: (43, 35.8, 5e-4, 5e-3), 50: (30, 60.9, 1e-1, 5e-3), 100: (34, 62.8, 1e-1, 5e-3),
        200: (34, 62.8, 1e-1, 2e-3),
    },
    ("imagenet", "resnet50"): {
        1: (9, 15.4, None, None), 10: (24, 31.0, None, None), 50: (30, 66.6, None, None), 100: (32, 68.6, None, None),
        200: (61, 73.3, None, None),
    },
    ("tiny-imagenet", "convnet"): {
        1: (11, 19.2, 1e-2, 1e-2), 10: (50, 35.0, 1e-2, 1e-1), 50: (90, 38.1, 1e-2, 1e-1), 100: (102, 38.8, 1e-2, 1e-1),
    },
    ("cifar100", "convnet"): {
        1: (13, 33.1, None, 1e-2), 10: (36, 47.6, None, 1e-2), 50: (125, 52.7, None, 1e-2), 100: (125, 52.7, None, 1e-2),
    },
    ("cifar10", "convnet"): {
        1: (20, 56.0, 5e-4, 1e-2), 10: (44, 65.1, 5e-4, 1e-2), 50: (128, 74.9, 5e-4, 1e-2), 100: (164, 76.5, 5e-4, 1e-2),
    },
}  # fmt: skip


def imagenet_table() -> pd.DataFrame:
    """Table 1 as ipc, method (its labels, or its expert -> student), accuracy in %, std (NaN where it was not read)."""
    rows = []
    for place, (ipc, values) in enumerate(IMAGENET.items()):
        for method, accuracy in zip(IMAGENET_METHODS, values, strict=True):
            std = IMAGENET_STD[method][place] if method in IMAGENET_STD else float("nan")
            rows.append((ipc, method, accuracy, std))
    return _tidy(rows, ["ipc", "method", "accuracy", "std"], 1)


def convnet_table() -> pd.DataFrame:
    """Table 2 as task, ipc, method, accuracy in %, without the cells that it leaves empty."""
    rows = [
        (task, ipc, method, accuracy)
        for task, budgets in CONVNET.items()
        for ipc, values in budgets.items()
        for method, accuracy in zip(CONVNET_METHODS, values, strict=True)
        if accuracy is not None
    ]
    return _tidy(rows, ["task", "ipc", "method", "accuracy"], 2)


def chosen_table() -> pd.DataFrame:
    """Table 7 as task, net, ipc, epoch, expert_accuracy in %, expert_lr, student_lr (NaN where they were not read)."""
    rows = [(*place, ipc, *found) for place, budgets in CHOSEN.items() for ipc, found in budgets.items()]
    table = _tidy(rows, ["task", "net", "ipc", "epoch", "expert_accuracy", "expert_lr", "student_lr"], 7)
    return table.astype({"expert_lr": float, "student_lr": float})


def _tidy(rows: list[tuple], columns: list[str], table: int) -> pd.DataFrame:
    """The rows, with where they are from in `attrs["source"]`."""
    found = pd.DataFrame(rows, columns=columns)
    found.attrs["source"] = SOURCE.format(table)
    return found
