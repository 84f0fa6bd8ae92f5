"""The study's checks on known answers, and the numbers that its claims are judged by."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from lib.data import tensors
from lib.geodesics import checks, drawing, measures
from lib.geodesics.arms import FEW, GEODESIC, MIXUP, NEAREST, SUBPOOL, UNIFORM, UNION
from lib.geodesics.scores import arm_summary
from lib.geodesics.tasks import SIDE
from lib.geodesics.toy import HEIGHT
from lib.geodesics.transfer import Transfer
from lib.seeds import Seeds
from lib.transport.dataset_distance import Settings
from lib.transport.labels import labelled


def images(n=24, classes=3, seed=0):
    generator = Seeds(seed).torch()
    return labelled(torch.rand(n, SIDE * SIDE, generator=generator, dtype=torch.float64), torch.arange(n) % classes)


@pytest.fixture(scope="module")
def report():
    return checks.toy_report(Seeds(0), 120)


class TestToyReport:
    def test_the_programme_predicts_the_height_and_the_exact_distance(self, report):
        best = report.table.loc["best"]
        assert best["predicted"] == pytest.approx(HEIGHT**2, rel=0.02)
        assert best["exact"] == pytest.approx(best["predicted"], rel=1e-9)

    def test_no_other_choice_of_the_table_is_nearer(self, report):
        assert report.table["exact"].idxmin() == "best"
        assert report.table["predicted"].idxmin() == "best"

    def test_rows_say_their_weights(self, report):
        weights = report.table[["a1", "a2", "a3"]]
        assert list(report.table.index) == ["best", "uniform", "source 1", "source 2", "source 3"]
        assert np.allclose(weights.sum(axis=1), 1)
        assert weights.loc["source 2"].tolist() == [0, 1, 0]

    def test_the_same_seed_gives_the_same_report(self, report):
        pd.testing.assert_frame_equal(checks.toy_report(Seeds(0), 120).table, report.table)


class TestSpeed:
    def test_constant_between_any_two_sets_of_one_size(self):
        assert (checks.speeds(images(seed=1), images(seed=2))["speed"] - 1).abs().max() < 1e-12

    def test_a_known_translation(self):
        left = images(seed=3)
        right = labelled(left.features + 0.5, left.labels)
        found = checks.speeds(left, right, times=(0.0, 0.3, 1.0))
        assert list(zip(found["s"], found["t"], strict=True)) == [(0.0, 0.3), (0.0, 1.0), (0.3, 1.0)]
        assert found["speed"].tolist() == pytest.approx([1, 1, 1])


class TestShifts:
    def test_turning_by_nothing_and_by_a_right_angle(self):
        data = images()
        same, turned = checks.rotated(data, 0.0, SIDE), checks.rotated(data, 90.0, SIDE)
        torch.testing.assert_close(same.features, data.features)
        quarter = data.features.view(-1, SIDE, SIDE).rot90(1, (1, 2)).flatten(1)
        torch.testing.assert_close(turned.features, quarter)

    def test_distance_to_itself_is_zero_and_grows(self):
        data = labelled(torch.eye(64, dtype=torch.float64)[[1, 10, 20, 33, 50, 61] * 4], torch.arange(24) % 2)
        found = checks.shift_distances(data, (0.0, 10.0, 20.0, 30.0), SIDE, Settings())
        assert found[0].item() == pytest.approx(0, abs=1e-12)
        assert (found.diff() > 0).all()

    def test_real_digits_move_away_as_they_turn_and_their_names_do_not_matter(self):
        features, labels = tensors("digits")
        data = labelled(features[:150].flatten(1).double(), labels[:150])
        found = checks.shift_distances(data, (0.0, 10.0, 20.0, 30.0), SIDE, Settings())
        assert found[0].item() == pytest.approx(0, abs=1e-12)
        assert (found.diff() > 0).all()
        assert checks.relabelled_distance(data, Settings()) == pytest.approx(0, abs=1e-9)

    def test_names_do_not_matter(self):
        assert checks.relabelled_distance(images(), Settings()) == pytest.approx(0, abs=1e-9)


class TestMeasures:
    @pytest.fixture
    def found(self, trial):
        sources = list(trial.episode.sources)
        accuracies = dict(zip((GEODESIC, FEW, MIXUP, UNIFORM, UNION, SUBPOOL, NEAREST, *sources), range(80, 70, -1), strict=True))
        arms = pd.DataFrame(
            [{"repeat": r, "arm": arm, "accuracy": float(value + 5 * r)} for r in (0, 1) for arm, value in accuracies.items()]
        )
        grid = pd.DataFrame({"repeat": [0, 0, 0, 1, 1, 1], "distance": [1, 2, 3] * 2, "accuracy": [9, 8, 7, 7, 8, 9]})
        return Transfer(arms, grid, (trial, trial))

    def test_differences_are_paired_by_repeat(self, found):
        numbers = measures.transfer_measurements(found)
        assert numbers["accuracy/geodesic"] == [80, 85]
        assert numbers["geodesic-few_shot"] == [1, 1]
        assert numbers["geodesic-mixup"] == [2, 2]
        assert numbers["geodesic-best_source"] == [7, 7]
        assert numbers["grid/rank_correlation"] == [-1, 1]

    def test_nearest_source_has_the_smallest_labelled_distance(self, found, trial):
        name = measures.nearest_source(trial)
        values = {s: d.value.item() for s, d in zip(trial.episode.sources, trial.hull.distances, strict=True)}
        assert values[name] == min(values.values())
        rank = list(trial.episode.sources).index(name)
        assert measures.transfer_measurements(found)["geodesic-nearest_source"] == [7 + rank] * 2

    def test_toy_and_shifts(self, report):
        numbers = measures.toy_measurements([report])
        assert numbers["toy/relative_error"][0] < 1e-9
        assert numbers["toy/uniform_excess"][0] > 0
        steps = measures.shift_measurements(torch.tensor([[0.0, 2.0, 5.0], [0.0, 4.0, 3.0]]), [0.0, 0.1])
        assert steps == {"shift/smallest_increase": [2, -1], "shift/renamed": [0.0, 0.1]}


class TestDrawing:
    def test_every_figure_shows_what_it_is_given(self, report, transfer):
        trial = transfer.trials[0]
        sources = list(trial.episode.sources)
        drawn = {
            "toy": drawing.draw_toy(report),
            "sets": drawing.draw_sets({"few": drawing.examples(trial.episode.few, 6)}, SIDE, 6),
            "labels": drawing.draw_label_table(trial),
            "couplings": drawing.draw_couplings(trial),
            "speeds": drawing.draw_speeds(checks.speeds(images(seed=1), images(seed=2))),
            "shifts": drawing.draw_shifts((0.0, 10.0), np.array([[0.0, 1.0], [0.0, 2.0]])),
            "triangles": drawing.draw_triangles(transfer.grid, sources, trial.hull.best.weights),
            "arms": drawing.draw_arms(arm_summary(transfer.arms).set_index("arm"), sources),
        }
        assert all(isinstance(figure, Figure) for figure in drawn.values())
        assert len(drawn["couplings"].axes) == len(sources)
        texts = {text.get_text() for text in drawn["triangles"].axes[0].texts}
        assert texts == set(sources)
        labels = [tick.get_text() for tick in drawn["arms"].axes[0].get_yticklabels()]
        assert set(labels) == set(transfer.arms["arm"])
        assert len(drawn["shifts"].axes[0].lines) == 2

    def test_examples_take_classes_in_turn(self):
        data = images(n=9, classes=3)
        torch.testing.assert_close(drawing.examples(data, 5), data.features[[0, 1, 2, 3, 4]])
