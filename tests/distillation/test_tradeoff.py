"""Data against knowledge: every arm once, envelopes by validation alone against brute force, and their worth in hard labels."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lib.distillation.experiment import Outcome
from lib.distillation.scaling import data_multiplier, pareto
from lib.distillation.tradeoff import envelope_table, frontier, label_arms, scaling_curves
from lib.seeds import Seeds

CLASSES, EPOCHS, KS, DRAWS, IPCS = 10, (1, 2, 8), (1, 3), (0, 1, 2), (1, 5, 20)
FULL = (1, 5)  # budgets at which labels are cut after every epoch; at 20 after epoch 2 in draw 0, after 8 in the others


@pytest.fixture(scope="module")
def outcome():
    """Whole percentages at random, so that many tie."""
    rng, labellers, top = Seeds(0).numpy(), [], []
    for draw in DRAWS:
        for ipc in IPCS:
            table = {"hard": rng.integers(40, 60, 2), "smoothing": (99, 99)} | {e: rng.integers(40, 60, 2) for e in EPOCHS}
            own = 2 if draw == 0 else 8
            for name, (validation, test) in table.items():
                kind, epoch = ("epoch", float(name)) if name in EPOCHS else (name, np.nan)
                labellers.append((draw, ipc, kind, epoch, validation, test))
            for epoch in EPOCHS if ipc in FULL else (own,):
                found = {0: table["hard"], CLASSES: table[epoch]} | {k: rng.integers(40, 60, 2) for k in KS}
                top += [(draw, ipc, epoch, k, *map(float, scores), epoch == own) for k, scores in found.items()]
    nothing = [pd.DataFrame()] * 2
    return Outcome(
        pd.DataFrame(labellers, columns=["draw", "ipc", "kind", "epoch", "validation", "test"]), *nothing,
        pd.DataFrame(top, columns=["draw", "ipc", "epoch", "k", "validation", "test", "chosen"]), *nothing, *nothing, (),
    )  # fmt: skip


@pytest.fixture(scope="module")
def arms(outcome):
    return label_arms(outcome, CLASSES)


def affordable(arms, draw, ipc):
    return arms[(arms["draw"] == draw) & (arms["ipc"] <= ipc)]


class TestArms:
    def test_each_is_there_once(self, arms):
        assert not arms.duplicated(["draw", "ipc", "epoch", "k"]).any()
        whole = 1 + len(EPOCHS)
        expected = {1: whole + len(EPOCHS) * len(KS), 5: whole + len(EPOCHS) * len(KS), 20: whole + len(KS)}
        for (_, ipc), rows in arms.groupby(["draw", "ipc"]):
            assert len(rows) == expected[ipc]

    def test_are_the_students_of_the_tables(self, arms, outcome):
        rows = arms[(arms["k"] == 3) & (arms["epoch"] == 2)].set_index(["draw", "ipc"])["test"]
        expected = outcome.top.query("k == 3 and epoch == 2").set_index(["draw", "ipc"])["test"]
        pd.testing.assert_series_equal(rows.sort_index(), expected.sort_index())
        hard = outcome.labellers.query("kind == 'hard'")["test"]
        assert sorted(arms[arms["k"] == 0]["test"]) == sorted(hard)
        assert arms[arms["k"] == 0]["epoch"].isna().all()


class TestCurves:
    def test_are_means_over_draws_that_all_tried_the_arm(self, arms):
        curves = scaling_curves(arms)
        assert (curves["n"] == len(DRAWS)).all()
        cut = curves[curves["k"].isin(KS)]
        assert set(cut["ipc"]) == set(FULL)
        assert len(curves) == 3 * (1 + len(EPOCHS)) + len(cut)
        assert len(cut) == len(EPOCHS) * len(KS) * len(FULL)
        row = curves.query("epoch == 8 and k == 1 and ipc == 5").iloc[0]
        assert row["mean"] == pytest.approx(arms.query("epoch == 8 and k == 1 and ipc == 5")["test"].mean())


class TestFrontier:
    def test_is_the_best_on_validation_of_all_that_is_affordable(self, arms):
        for row in frontier(arms).to_dict("records"):
            could = affordable(arms, row["draw"], row["ipc"])
            assert row["validation"] == could["validation"].max()
            best = could[could["validation"] == row["validation"]]
            assert row["spent"] == best["ipc"].min()
            same = best[
                (best["ipc"] == row["spent"]) & (best["k"] == row["k"]) & (best["epoch"].eq(row["epoch"]) | (row["k"] == 0))
            ]
            assert same["test"].tolist() == [row["test"]]

    def test_never_falls_on_validation(self, arms):
        found = frontier(arms)
        assert found.groupby("draw")["validation"].is_monotonic_increasing.all()
        assert found.groupby("draw")["ipc"].apply(list).tolist() == [list(IPCS)] * len(DRAWS)

    def test_nothing_dominates_what_it_spends(self, arms):
        for draw, found in frontier(arms).groupby("draw"):
            mine = arms[arms["draw"] == draw]
            front = mine.iloc[pareto(mine["ipc"], mine["validation"])]
            points = set(zip(front["ipc"], front["validation"], strict=True))
            assert set(zip(found["spent"], found["validation"], strict=True)) == points

    def test_test_images_have_no_part_in_the_choice(self, arms):
        other = arms.assign(test=100 - arms["test"])
        kept = ["draw", "ipc", "spent", "epoch", "k", "validation"]
        pd.testing.assert_frame_equal(frontier(other)[kept], frontier(arms)[kept])

    def test_an_arm_that_is_never_best_changes_nothing(self, arms):
        poor = arms[arms["k"] == 3].assign(k=5, validation=0.0, test=100.0)
        more = pd.concat([arms, poor], ignore_index=True)
        pd.testing.assert_frame_equal(frontier(more), frontier(arms))

    def test_its_worth_is_in_hard_labels_of_the_same_draw(self, arms):
        for row in frontier(arms).to_dict("records"):
            hard = arms[(arms["draw"] == row["draw"]) & (arms["k"] == 0)]
            expected = data_multiplier(hard["ipc"], hard["test"], row["ipc"], row["test"])
            assert (row["multiplier"], row["bound"]) == (expected.value, expected.bound)


class TestEnvelope:
    def test_is_the_frontiers_mean_with_the_arm_of_most_draws(self, arms):
        found = frontier(arms)
        for row in envelope_table(arms).to_dict("records"):
            mine = found[found["ipc"] == row["ipc"]]
            assert (row["mean"], row["n"]) == (pytest.approx(mine["test"].mean()), len(DRAWS))
            counts = mine.fillna({"epoch": -1}).groupby(["epoch", "k", "spent"]).size()
            assert row["draws"] == counts.max()
            assert counts[-1 if np.isnan(row["epoch"]) else row["epoch"], row["k"], row["spent"]] == counts.max()

    def test_hard_labels_may_attain_it(self, arms):
        best = arms.assign(validation=arms["validation"].where(arms["k"] > 0, 100.0))
        found = envelope_table(best)
        assert found["k"].tolist() == [0, 0, 0]
        assert found["spent"].tolist() == [1, 1, 1]
        assert found["epoch"].isna().all()


def test_only_hard_and_whole_labels_were_tried(outcome):
    bare = dataclasses.replace(outcome, top=outcome.top[outcome.top["k"].isin([0, CLASSES])])
    assert set(label_arms(bare, CLASSES)["k"]) == {0, CLASSES}
