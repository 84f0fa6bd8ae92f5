"""The numbers behind the claims, on tables made by hand: two draws, budgets 1 and 4, epochs 1 and 8."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lib.distillation import measures
from lib.distillation.experiment import Outcome
from lib.distillation.setup import Setup
from lib.distillation.structure import RANDOM

SETUP = Setup(
    task="digits", train_size=300, draws=2, ipcs=(1, 4), epochs=(1, 8), expert_lrs=(0.01, 0.1), expert_batch=32, width=8, depth=1,
    temperatures=(2.0, 4.0), steps=60, batch_size=20, lrs=(0.1,), momentum=0.9, weight_decay=0.0, structure_ipcs=(1, 4),
    structure_epoch=0, top_ks=(1,), subjects=2, learned_steps=1, members_at_once=8, device="cpu", views=3,
)  # fmt: skip
NAN = float("nan")
# kind, expert_lr, epoch, temperature: validation and test at budget 1, the same at budget 4, entropy
LABELLERS = [
    (("hard", NAN, NAN, NAN), (40, 40), (60, 60), 0.0),
    (("smoothing", NAN, NAN, NAN), (41, 41), (61, 61), 0.5),
    (("epoch", 0.1, 1.0, 1.0), (52, 50), (55, 54), 1.5),
    (("epoch", 0.1, 8.0, 1.0), (45, 99), (66, 64), 0.25),
    (("temperature", 0.1, 1.0, 2.0), (30, 30), (30, 30), 2.0),
    (("temperature", 0.1, 8.0, 2.0), (47, 46), (66, 65), 0.5),
    (("temperature", 0.1, 8.0, 4.0), (46, 99), (60, 60), 1.0),
    (("rate", 0.01, 1.0, 1.0), (20, 20), (20, 20), 2.2),
    (("rate", 0.01, 8.0, 1.0), (48, 48), (50, 50), 1.4),
    (("ensemble", 0.1, 1.0, 1.0), (53, 53), (56, 55), 1.5),
    (("ensemble", 0.1, 8.0, 1.0), (44, 99), (67, 66), 0.25),
    (("cutmix", 0.1, 1.0, 1.0), (49, 46), (60, 62), 1.2),
    (("prototypes hard", NAN, NAN, NAN), (70, 70), (80, 80), 0.0),
    (("prototypes epoch", 0.1, 1.0, 1.0), (72, 71), (81, 82), 1.5),
]
DRAW = {0: 0, 1: 2}  # what draw 1 has more of everything


def labellers():
    rows = []
    for draw, more in DRAW.items():
        for key, *budgets, nats in LABELLERS:
            rows += [(draw, i, *key, v + more, t + more, nats) for i, (v, t) in zip((1, 4), budgets, strict=True)]
    names = ["draw", "ipc", "kind", "expert_lr", "epoch", "temperature", "validation", "test", "entropy"]
    return pd.DataFrame(rows, columns=names)


def tall(key, values):
    """draw, ipc, `key`, test: `values` at budget 1, half of each at budget 4."""
    rows = [
        (d, ipc, name, value / share + more)
        for d, more in DRAW.items()
        for ipc, share in ((1, 1), (4, 2))
        for name, value in values
    ]
    return pd.DataFrame(rows, columns=["draw", "ipc", key, "test"])


@pytest.fixture
def outcome():
    arms = ("control", 50), ("equal-entropy smoothing", 42), ("shuffled rest", 36), ("mean rest", 48)
    zero = tall("arm", (("control", 60), ("no image", 20), ("no label", 30), ("hard without image", 0)))
    zero = pd.concat([zero.assign(subject=3), zero.assign(subject=5, test=zero["test"] / 2)])
    zero.loc[zero["arm"] == "hard without image", "test"] = 0.0
    bins = {"soft": {RANDOM: 50, 0: 54, 1: 51, 2: 47}, "hard": {RANDOM: 40, 0: 46, 1: 41, 2: 30}}
    bins = pd.concat([tall("bin", tests.items()).assign(labels=name) for name, tests in bins.items()])
    learned = pd.DataFrame({"arm": ["hard", "expert", "ensemble", "learned"], "test": [40.0, 50, 53, 56]})
    learned = learned.assign(**{"js hard": 0.1, "js expert": 0.08, "js ensemble": 0.07})
    near = [("learned", 1, 0.10, 0.09), ("learned", 8, 0.05, 0.03), ("shuffled", 1, 0.3, 0.3), ("shuffled", 8, 0.2, 0.195)]
    near = pd.DataFrame(near, columns=["labels", "epoch", "expert", "ensemble"])
    return Outcome(
        labellers(), tall("arm", arms), tall("k", ((0, 50), (1, 4), (2, 38), (9, 49))), tall("k", ((0, 40), (10, 50))), zero,
        bins[bins["ipc"] == 1], pd.concat([learned.assign(draw=d) for d in DRAW]),
        pd.concat([near.assign(draw=d) for d in DRAW]), (),
    )  # fmt: skip


@pytest.fixture
def experts():
    rows = [
        (d, lr, e, 0.0, test + d)
        for d in DRAW
        for lr, tests in ((0.01, (30, 70)), (0.1, (60, 90)))
        for e, test in zip((1, 8), tests, strict=True)
    ]
    return pd.DataFrame(rows, columns=["draw", "expert_lr", "epoch", "validation", "test"])


@pytest.fixture
def found(outcome, experts):
    return measures.measurements(outcome, experts, SETUP)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy/soft", [50, 52]),  # epoch 1 by validation, though epoch 8 is better on test
        ("accuracy/hard", [40, 42]),
        ("accuracy/full", [90, 91]),
        ("soft-hard", [10, 10]),
        ("soft-hard/1", [10, 10]),
        ("soft-hard/4", [4, 4]),
        ("ensemble-soft", [3, 3]),
        ("cutmix-soft/1", [-4, -4]),
        ("cutmix-soft/4", [-2, -2]),
        ("cutmix-soft/smallest", [-4, -4]),
        ("cutmix-soft/growth", [2, 2]),
        ("prototypes_hard-soft", [20, 20]),
        ("prototypes_epoch-soft", [21, 21]),
        ("gap/soft_smallest", [40, 39]),
        ("gap/soft_largest", [26, 25]),
        ("gap/hard_smallest", [50, 49]),
        ("gap/hard_largest", [30, 29]),
        ("student-expert", [50 - 60, 52 - 61]),
        ("best_epoch/smallest", [0, 0]),
        ("best_epoch/largest", [3, 3]),
        ("best_epoch/shift", [3, 3]),
        ("best_epoch/other_rate-main", [3, 3]),
        ("entropy/last-first", [-1.25, -1.25]),
        ("entropy/rank_correlation", [-1, -1]),
        ("last-hard", [59, 59]),
        ("warm-last", [46 - 99, 46 - 99]),
        ("soft-warm", [4, 4]),
        ("temperature-soft", [-4, -4]),
        ("smoothing-hard", [2, 2]),
        ("control-smoothing", [8, 8]),
        ("control-shuffled_rest", [14, 14]),
        ("control-shuffled_rest/4", [7, 7]),
        ("control-mean_rest", [2, 2]),
        ("swap/first_loss", [46, 46]),
        ("swap/second_loss", [12, 12]),
        ("swap/last_loss", [1, 1]),
        ("swap/first-last", [45, 45]),
        ("swap/first-last/4", [22.5, 22.5]),
        ("zero/control", [45, 46.5]),
        ("zero/soft", [15, 16.5]),
        ("zero/no_label/4", [11.25, 12.75]),
        ("zero/hard", [0, 0]),
        ("selection/easiest-random/soft", [4, 4]),
        ("selection/easiest-random/hard", [6, 6]),
        ("selection/hardest-random/soft", [-3, -3]),
        ("selection/hardest-random/hard", [-10, -10]),
        ("selection/easiest-hardest/soft", [7, 7]),
        ("selection/easiest-hardest/hard", [16, 16]),
        ("selection/repair", [9, 9]),
        ("learned-hard", [16, 16]),
        ("learned-expert", [6, 6]),
        ("learned-ensemble", [3, 3]),
        ("learned/js_ensemble", [0.07, 0.07]),
        ("nearer/learned", [0.02, 0.02]),  # at epoch 8, whose experts are nearest to the learned labels
        ("nearer/shuffled", [0.005, 0.005]),
        ("nearer/learned-shuffled", [0.015, 0.015]),
    ],
)
def test_number(found, name, expected):
    assert found[name] == pytest.approx(expected)


def test_every_number_has_one_value_for_each_draw(found):
    assert all(len(values) == 2 for values in found.values())
    assert all(np.isfinite(values).all() for values in found.values())


def test_multiplier_interpolates_hard_labels_in_log_budget(outcome, found):
    expected = 4**0.5  # 50 lies halfway from hard 40 at budget 1 to hard 60 at budget 4
    assert found["multiplier"] == pytest.approx([expected, expected])
    table = measures.multipliers(outcome)
    assert table.query("ipc == 1")["bound"].tolist() == ["equal", "equal"]
    assert table.query("ipc == 4")[["multiplier", "bound"]].to_numpy().tolist() == [[1.0, "at least"]] * 2


def test_what_was_left_out_is_missing(outcome, experts):
    bare = dataclasses.replace(outcome, learned=pd.DataFrame(), nearness=pd.DataFrame(), selection=pd.DataFrame())
    setup = dataclasses.replace(SETUP, expert_lrs=(0.1,), temperatures=(), views=0, prototypes=False)
    found = measures.measurements(bare, experts, setup)
    for name in ("learned-hard", "nearer/learned", "best_epoch/other_rate-main", "warm-last", "temperature-soft"):
        assert name not in found
    assert not [name for name in found if name.startswith(("selection", "cutmix", "prototypes"))]


def test_interval_of_known_values():
    table = pd.DataFrame({"arm": ["a"] * 3 + ["b"], "test": [1.0, 2.0, 3.0, 5.0]})
    a, b = measures.summarised(table, ["arm"]).to_dict("records")
    assert (a["arm"], a["mean"], a["n"]) == ("a", 2, 3)
    assert a["high"] - 2 == pytest.approx(4.302653 / 3**0.5)
    assert a["low"] == pytest.approx(4 - a["high"])
    assert b["mean"] == 5
    assert np.isnan(b["low"])


def test_storage_counts_pixels_and_labels():
    table = measures.storage_table(SETUP, 10, 64).set_index(["ipc", "labels"])
    assert table.loc[(4, "hard")].tolist() == [2560, 40]
    assert table.loc[(4, "top 2")].tolist() == [2560, 160]
    assert table.loc[(4, "soft")].tolist() == [2560, 400]
    assert table.loc[(4, "soft, each view")].tolist() == [2560, 3 * 400]
    # Without CutMix, 60 steps of 20 views make 30 views of each of 40 images; at one image a class a batch is all 10 of them.
    table = measures.storage_table(dataclasses.replace(SETUP, views=0), 10, 64).set_index(["ipc", "labels"])
    assert table.loc[(4, "soft, each view")].tolist() == [2560, 30 * 400]
    assert table.loc[(1, "soft, each view")].tolist() == [640, 60 * 100]
