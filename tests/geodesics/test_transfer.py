"""The transfer experiment: equal terms for all arms, nothing learnt from the images that it is scored on."""

import numpy as np
import pandas as pd
import pytest
import torch

from lib.geodesics.arms import FEW, GEODESIC, MIXUP, NEAREST, NEURAL, PSEUDO, SUBPOOL, UNIFORM, UNION, label_width, stacked_sets
from lib.geodesics.scores import arm_differences, arm_summary, grid_correlations, mean_interval
from lib.geodesics.tasks import TASKS, evaluation_set
from lib.geodesics.transfer import make_trial, pretrained, run_transfer, tuned
from lib.seeds import Seeds

SOURCES = ["digits 0-4", "digits 5-9", "inverted"]
CPU = torch.device("cpu")


class TestArms:
    def test_all_are_there_in_order(self, trial):
        assert list(trial.arms) == [GEODESIC, UNIFORM, *SOURCES, MIXUP, UNION, SUBPOOL, PSEUDO, FEW]

    def test_labels_are_distributions_over_the_union_of_label_sets(self, trial):
        assert label_width(trial.arms) == 5 + 5 + 10
        for cloud in trial.arms.values():
            torch.testing.assert_close(cloud.labels.sum(1), torch.ones(len(cloud)).to(cloud.labels))

    def test_geodesic_and_mixup_have_the_weights_of_the_programme(self, trial):
        for arm in (GEODESIC, MIXUP):
            shares = torch.stack([block.sum(1) for block in trial.arms[arm].labels.split([5, 5, 10], 1)], 1)
            torch.testing.assert_close(shares, trial.hull.best.weights.expand(len(shares), -1))
            assert len(shares) == len(trial.hull.base)

    def test_sources_keep_their_own_columns(self, trial):
        for name, columns in zip(SOURCES, (slice(0, 5), slice(5, 10), slice(10, 20)), strict=True):
            torch.testing.assert_close(trial.arms[name].labels[:, columns].sum(1), torch.ones(80).to(trial.arms[name].labels))
        assert len(trial.arms[UNION]) == 240

    def test_sub_pooling_takes_the_nearest_of_the_union(self, trial):
        apart = torch.cdist(trial.hull.base.features, trial.arms[UNION].features).amin(1)
        taken = (trial.hull.base.features - trial.arms[SUBPOOL].features).norm(dim=1)
        torch.testing.assert_close(taken, apart, atol=1e-3, rtol=1e-3)

    def test_stacking_widens_labels_and_keeps_rows_apart(self, trial):
        sets = [trial.arms[FEW], trial.arms[UNION]]
        x, y, bags = stacked_sets(sets, 20)
        assert x.dtype == y.dtype == torch.float32
        assert [len(bag) for bag in bags] == [30, 240]
        torch.testing.assert_close(y[bags[0]][:, :10], sets[0].labels.float())
        torch.testing.assert_close(x[bags[1]], sets[1].features.float())

    def test_neural_maps_make_one_more_arm(self, small):
        trial = make_trial(small(neural=True), Seeds(0), CPU)
        assert list(trial.arms)[-2:] == [FEW, NEURAL]
        assert trial.neural.best.weights.sum().item() == pytest.approx(1)


class TestExperiment:
    def test_one_row_for_each_repeat_and_arm_and_grid_point(self, transfer):
        assert transfer.arms.groupby("repeat").size().tolist() == [11, 11]
        assert transfer.grid.groupby("repeat").size().tolist() == [6, 6]
        assert transfer.arms["accuracy"].between(0, 100).all()

    def test_same_seed_same_tables(self, transfer, small):
        again = run_transfer(small(), Seeds(0))
        pd.testing.assert_frame_equal(again.arms, transfer.arms)
        pd.testing.assert_frame_equal(again.grid, transfer.grid)

    def test_better_than_chance(self, transfer):
        assert arm_summary(transfer.arms)["mean"].min() > 25

    def test_grid_vertices_have_the_sources_own_distances(self, transfer):
        for repeat, trial in enumerate(transfer.trials):
            rows = transfer.grid[transfer.grid["repeat"] == repeat]
            vertices = rows[rows[["a1", "a2", "a3"]].max(axis=1) == 1].sort_values(["a1", "a2"], ascending=False)
            assert vertices["distance"].tolist() == pytest.approx(trial.hull.metric.linear.tolist(), rel=1e-5)

    def test_nearest_neighbours_are_scored_by_hand(self, transfer):
        test, few = evaluation_set(TASKS["mnist-from-digits"], "validation", CPU), transfer.trials[0].episode.few
        right = few.labels[torch.cdist(test.features, few.features).argmin(1)] == test.labels
        found = transfer.arms.set_index(["repeat", "arm"]).loc[(0, NEAREST), "accuracy"]
        assert found == pytest.approx(100 * right.double().mean().item())

    def test_students_do_not_depend_on_what_they_are_scored_on(self, small):
        ends = []
        for part in ("validation", "test"):
            setup = small(part=part, segments=0)
            trial = make_trial(setup, Seeds(3), CPU)
            first = pretrained(setup, trial, Seeds(3))
            ends.append(tuned(setup, trial, first.params, Seeds(3)).params)
        assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])

    def test_all_students_of_a_repeat_have_the_same_start_and_budget(self, small):
        setup = small(segments=0, rate=1e-30, tune_rate=1e-30)
        trial = make_trial(setup, Seeds(3), CPU)
        first = pretrained(setup, trial, Seeds(3))
        last = tuned(setup, trial, first.params, Seeds(3))
        assert first.losses.shape == (40, 10)
        assert last.losses.shape == (40, 10)
        for params in (first.params, last.params):
            for value in params.values():
                torch.testing.assert_close(value, value[:1].expand_as(value))

    def test_only_the_last_layer_is_new(self, small):
        setup = small(segments=0, depth=2, tune_rate=1e-30)
        trial = make_trial(setup, Seeds(3), CPU)
        first = pretrained(setup, trial, Seeds(3))
        last = tuned(setup, trial, first.params, Seeds(3))
        assert first.params["layer2.weight"].shape[1:] == (20, 16)
        assert last.params["layer2.weight"].shape[1:] == (10, 16)
        torch.testing.assert_close(last.params["layer1.weight"], first.params["layer1.weight"])

    def test_arms_and_repeats_do_not_depend_on_what_runs_beside_them(self, transfer, small):
        alone = run_transfer(small(repeats=1, segments=0, members_at_once=3), Seeds(0)).arms
        beside = transfer.arms[transfer.arms["repeat"] == 0]
        assert alone["arm"].tolist() == beside["arm"].tolist()
        assert alone["accuracy"].tolist() == pytest.approx(
            beside["accuracy"].tolist(), abs=0.5
        )  # batched products may round otherwise

    def test_repeats_may_be_computed_in_any_order(self, small, transfer):
        backwards = run_transfer(small(), Seeds(0), lambda one, repeats: [one(r) for r in reversed(repeats)][::-1])
        pd.testing.assert_frame_equal(backwards.arms, transfer.arms)
        pd.testing.assert_frame_equal(backwards.grid, transfer.grid)

    def test_divergence_is_named(self, small):
        with pytest.raises(RuntimeError, match="pretraining: student 'geodesic' diverged"):
            run_transfer(small(rate=1e30), Seeds(0))

    def test_unknown_task(self, small):
        with pytest.raises(ValueError, match="task: got 'letters', allowed are mnist-from-digits"):
            small(task="letters")


class TestScores:
    def test_interval_of_known_values(self):
        found = mean_interval(np.array([1.0, 2.0, 3.0]))
        assert (found["mean"], found["sd"], found["n"]) == (2, 1, 3)
        assert found["high"] - 2 == pytest.approx(4.302653 / 3**0.5)
        assert np.isnan(mean_interval(np.array([5.0]))["low"])

    def test_differences_are_paired_by_repeat(self):
        rows = [(0, "a", 50.0), (0, "b", 49.0), (1, "a", 90.0), (1, "b", 89.0)]
        table = arm_differences(pd.DataFrame(rows, columns=["repeat", "arm", "accuracy"]), "a")
        assert table[["against", "mean", "sd"]].to_numpy().tolist() == [["b", 1.0, 0.0]]
        with pytest.raises(ValueError, match="arm: got 'c', allowed are a, b"):
            arm_differences(pd.DataFrame(rows, columns=["repeat", "arm", "accuracy"]), "c")

    def test_rank_correlation_of_each_repeat(self):
        grid = pd.DataFrame(
            {"repeat": [0] * 3 + [1] * 3 + [2] * 3, "distance": [1.0, 2, 3] * 3, "accuracy": [9.0, 8, 7, 1, 2, 3, 5, 5, 5]}
        )
        found = grid_correlations(grid)
        assert found[0] == pytest.approx(-1)
        assert found[1] == pytest.approx(1)
        assert np.isnan(found[2])
