"""The numbers behind the claims, on outcomes made by hand: 20 seeds at four widths, with known answers."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, spearmanr

from lib.emergence import measures
from lib.emergence.companion import companion
from lib.emergence.intervals import changes, draws, modes, rank_correlations, resampled, sound_seeds, success
from lib.emergence.outcome import Outcome
from lib.emergence.setup import Setup
from lib.emergence.shapes import sarle
from lib.emergence.statistics import seed_statistics
from lib.seeds import Seeds

SEEDS = Seeds(0).child("random-scaling")
SCALES, COUNT, NAN = (8, 16, 24, 32), 20, float("nan")
SETUP = Setup(
    task="count", scale="width", scales=SCALES, width=8, layers=1, head_width=4, positions="none", rotary_share=1.0,
    members=COUNT, steps=600, batch_size=4, lr=3e-3, lr_power=0.0, weight_decay=0.1, warmup=0.05, numbers=26, longest=6,
    context=32, lengths=(6, 8), rows=100, tau=0.2, checkpoints=1, members_at_once=8, device="cpu",
)  # fmt: skip
MIXED = np.array([[0.0] * 20, [0.0] * 12 + [0.8] * 8, [0.1] * 7 + [0.8] * 13, [0.9] * 20])
SOLVED = np.array([[0.0] * 20, [0.5] * 20, [0.9] * 20, [0.9] * 5 + [0.95] * 15])
NORMAL = norm.ppf((np.arange(COUNT) + 0.5) / COUNT)
NLL = np.stack([NORMAL * 0.1 + np.where(row > 0.2, 0.5, 5) for row in MIXED])  # in two clusters at widths 16 and 24
LOSS = np.stack([NORMAL * 0.01 + 1 for _ in SCALES])


def outcome_of(exams, nll=NLL, loss=LOSS):
    """Length -> exact match [S, K], with nll [S, K] and the training loss [S, K]."""
    count, seeds = next(iter(exams.values())).shape
    grades = [
        pd.DataFrame(
            {"scale": s, "seed": range(seeds), "step": 600, "length": length, "exact": e, "token": (1 + e) / 2, "nll": n}
        )
        for length, exact in exams.items()
        for s, e, n in zip(SCALES, exact, nll[:, :seeds], strict=False)
    ]
    losses = [
        pd.DataFrame({"scale": s, "seed": range(seeds), "loss": row[:seeds]})
        for s, row in zip(SCALES[:count], loss, strict=False)
    ]
    return Outcome(pd.concat(grades, ignore_index=True), pd.concat(losses, ignore_index=True))


def mixed():
    return outcome_of({6: SOLVED, 8: MIXED})


@pytest.fixture(scope="module")
def found():
    return measures.measurements(mixed(), SETUP, SEEDS)


@pytest.fixture(scope="module")
def failed():
    return measures.measurements(outcome_of({8: 0 * MIXED}), SETUP, SEEDS)


class TestKnownAnswers:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("diverged", 0), ("exam/length", 8), ("trained/length", 6), ("trained/solved", 0.75),
            ("bimodal/scale", 16), ("bimodal/below", 0.6), ("bimodal/between", 0), ("bimodal/above", 0.4),
            ("bimodal/sarle", 1), ("bimodal/explained", 1), ("bimodal/gap", 0.8), ("bimodal/spike", 0.6), ("bimodal/enough", 0),
            ("nll/spike", 0.05), ("nll/enough", 1),
            ("mode/jump", 0.8), ("mode/p_change", 0.25), ("mode/mean_success_change", 0), ("mode/jump-p_change", 0.55),
            ("mode/from", 16), ("mode/to", 24),
            ("monotone/p_success", 1), ("monotone/mean_success", 3**0.5 / 2),
            ("change/p_success", 1), ("change/mean_success", 0.1),
            ("w2/largest", 0.256**0.5), ("w2/scale", 16), ("w2/half_scale", 24), ("w2/half_over_scale", 1.5),
        ],
    )  # fmt: skip
    def test_number(self, found, name, value):
        assert found[name].value == pytest.approx(value, abs=1e-12)

    def test_a_mean_of_successes_rests_on_the_seeds_that_succeeded(self, found):
        assert found["mode/mean_success_change"].n == found["change/mean_success"].n == 8
        assert found["mode/jump"].n == COUNT

    def test_intervals_hold_their_value_and_choices_have_none(self, found):
        for name in ("bimodal/below", "bimodal/above", "nll/gap", "mode/p_change", "w2/largest", "trained/solved"):
            assert found[name].low < found[name].value < found[name].high, name
        for name in ("bimodal/scale", "bimodal/dip_p", "picked/linear_L", "exam/length"):
            assert np.isnan(found[name].low), name
            assert np.isnan(found[name].high), name

    def test_the_mode_jumps_somewhere_in_every_resample(self, found):
        assert found["mode/jump"].low >= 0.8 - 1e-12

    def test_nll_is_in_two_clusters_and_training_loss_in_one(self, found):
        assert found["nll/dip_p"].value < 0.01
        assert found["nll/gap"].value == pytest.approx(4.5, abs=0.2)
        assert found["loss/dip_p"].value > 0.5
        assert found["loss/sarle"].value == pytest.approx(sarle(NORMAL))

    def test_the_p_value_pays_for_the_choice_of_a_scale(self, found):
        assert found["bimodal/dip_p_any"].value == pytest.approx(min(1, 4 * found["bimodal/dip_p"].value))

    def test_same_seed_same_numbers(self, found):
        again = measures.mode_measurements(MIXED, SCALES, 0.2, draws(COUNT, SEEDS.child("resamples")))
        assert all(again[name] == found[name] for name in again)


class TestUndefined:
    def test_is_nan_and_not_zero(self, failed):
        names = ["bimodal/sarle", "bimodal/explained", "mode/mean_success_change", "monotone/p_success", "monotone/mean_success"]
        names += ["change/mean_success", "w2/scale", "w2/half_scale", "w2/half_over_scale"]
        for name in names:
            assert np.isnan(failed[name][:3]).all(), name

    def test_what_is_nothing_is_zero(self, failed):
        for name in ("mode/jump", "mode/p_change", "change/p_success", "w2/largest", "affordable/best_5", "picked/emergent_B"):
            assert failed[name].value == 0, name

    def test_few_seeds(self):
        few = measures.measurements(outcome_of({8: MIXED[:2, 10:13]}), SETUP, SEEDS)
        for name in ("bimodal/dip", "nll/dip_p", "bimodal/dip_p_any", "loss/enough", "affordable/best_5", "trained/solved"):
            assert np.isnan(few[name].value), name
        assert few["affordable/median_3"].value in (0, 1)

    def test_names_are_the_same_whatever_happens(self, found, failed):
        few = measures.measurements(outcome_of({8: MIXED[:2, 10:13]}), SETUP, SEEDS)
        assert found.keys() == failed.keys() == few.keys()

    def test_no_interval_where_more_than_a_twentieth_of_the_resamples_are_undefined(self):
        values = np.linspace(0, 1, 101)
        values[1:6] = NAN
        assert np.isfinite(resampled(values, 4)).all()
        values[6] = NAN
        assert np.isnan(resampled(values, 4)[1:3]).all()


class TestDivergedSeeds:
    def test_are_left_out_at_all_scales(self, found):
        more = {6: np.insert(SOLVED, [3, 5], 1.0, axis=1), 8: np.insert(MIXED, [3, 5], 1.0, axis=1)}
        broken = outcome_of(more, nll=np.insert(NLL, [3, 5], 9.0, axis=1), loss=np.insert(LOSS, [3, 5], 9.0, axis=1))
        broken.grades.loc[(broken.grades["scale"] == 16) & (broken.grades["seed"] == 3), ["exact", "token", "nll"]] = NAN
        broken.losses.loc[(broken.losses["scale"] == 24) & (broken.losses["seed"] == 6), "loss"] = NAN
        assert sorted(sound_seeds(broken).losses["seed"].unique()) == [k for k in range(22) if k not in (3, 6)]
        numbers = measures.measurements(broken, SETUP, SEEDS)
        assert numbers.pop("diverged")[::3] == (2 / 88, 22)
        for name, number in numbers.items():
            assert number == pytest.approx(found[name], nan_ok=True), name

    def test_a_run_that_is_missing_counts_as_diverged(self):
        short = mixed()
        short = Outcome(short.grades[(short.grades["scale"] != 8) | (short.grades["seed"] != 0)], short.losses)
        assert sound_seeds(short).final(8).shape == (4, COUNT - 1)

    def test_none_left_is_an_error(self):
        broken = mixed()
        broken.losses["loss"] = NAN
        with pytest.raises(ValueError, match="outcome: got 20 seeds, all of which diverged"):
            measures.measurements(broken, SETUP, SEEDS)


class TestMainLength:
    GRADED = MIXED * 0.8

    @pytest.mark.parametrize(
        ("exams", "length", "rule"),
        [
            ({6: MIXED, 8: MIXED}, 8, "calibrated, beyond the trained lengths; P(success) varies most, by 1.00"),
            ({6: MIXED, 8: MIXED * 0.2}, 6, "calibrated; P(success) varies most, by 1.00"),
            ({6: MIXED[[3, 3, 3, 3]], 8: MIXED[[0, 0, 1, 1]]}, 8, "no length is calibrated; P(success) varies most, by 0.40"),
            ({6: 0 * MIXED, 8: 0 * MIXED}, 6, "no length is calibrated; P(success) varies most, by 0.00"),
            ({8: MIXED[[0, 1, 2, 2]], 10: MIXED}, 10, "calibrated, beyond the trained lengths; P(success) varies most, by 1.00"),
        ],
    )
    def test_rule(self, exams, length, rule):
        assert measures.main_length(outcome_of(exams), SETUP) == (length, rule)


class TestChoices:
    def test_what_lies_between_the_clusters_has_no_say_in_the_bimodal_scale(self):
        clean = [0.0] * 15 + [0.9] * 5
        blurred = [0.0] * 7 + [0.4] * 6 + [0.9] * 7
        assert measures.bimodal_scale(np.array([clean, blurred]), 0.2) == 1

    def test_without_a_second_cluster_it_is_where_half_the_seeds_succeed(self):
        runs = np.array([[0.0] * 4, [0.0, 0.0, 0.3, 0.3], [0.3] * 4])
        assert measures.bimodal_scale(runs, 0.2) == 1

    def test_picked_seeds(self):
        straight, sudden, late = [0, 0.3, 0.6, 0.9], [0, 0, 0, 0.9], [0, 0, 0.5, 0.9]
        found = measures.picked_measurements(np.array([sudden, straight, late]).T)
        wanted = {"emergent_B": 100, "emergent_capped": 1, "emergent_L": 3**0.5, "emergent_step": 0.9}
        wanted |= {"linear_B": 3, "linear_capped": 0, "linear_L": 3, "linear_step": 0.3}
        assert {name: each.value for name, each in found.items()} == pytest.approx({f"picked/{k}": v for k, v in wanted.items()})

    def test_affordable_seeds_are_drawn_without_replacement(self):
        runs = np.stack([np.zeros(20), np.repeat([0.0, 0.9], 10)])
        found = measures.affordable_measurements(runs, (8, 16), draws(20, SEEDS), SEEDS)
        assert found["affordable/best_1"] == found["affordable/median_1"]
        assert found["affordable/best_1"].value == pytest.approx(1 / 2, abs=0.05)
        assert found["affordable/best_3"].value == pytest.approx(1 - 120 / 1140, abs=0.03)  # of C(20, 3), C(10, 3) have no jump
        assert found["affordable/median_3"].value == pytest.approx(1 / 2, abs=0.05)
        assert found["affordable/best_3"].low < found["affordable/best_3"].value < found["affordable/best_3"].high

    def test_companion_jumps_while_the_rest_is_smooth(self):
        model = companion(np.linspace(0, 10, 201).tolist(), middle=5)
        found = measures.companion_measurements(model, 0.2)
        assert found["companion/jump"].value > 0.8
        assert 0 < found["companion/p_change"].value < 0.02
        assert 0 < found["companion/mean_success_change"].value < 0.01


class TestInverseScaling:
    def test_success_becomes_rarer_and_successes_better(self):
        runs = np.array([[0.5] * 20, [0.0] * 5 + [0.6] * 15, [0.0] * 10 + [0.8] * 10, [0.0] * 18 + [0.9] * 2])
        found = measures.trend_measurements(runs, 0.2, draws(20, SEEDS))
        assert found["monotone/p_success"].value == -1
        assert found["change/p_success"].high < -0.7
        assert found["monotone/mean_success"][0] == 1  # without the last width, which has two successes
        assert found["change/mean_success"][:3] == pytest.approx((0.3, 0.3, 0.3))
        assert found["change/mean_success"].n == 10


class TestResampled:
    def test_agrees_with_the_seed_statistics(self):
        rng = SEEDS.child("agree").numpy()
        runs = np.round(rng.beta(0.4, 0.6, (4, 30)) * 19) / 19
        drawn = draws(30, SEEDS)
        p, means = success(runs, 0.2, drawn)
        table = seed_statistics(runs, SCALES, seeds=SEEDS).set_index(["statistic", "scale"])
        for name, values in (("p_success", p), ("mean_success", means), ("mode_histogram", modes(runs, drawn))):
            for scale, row in zip(SCALES, values, strict=True):
                assert resampled(row, 30)[:3] == pytest.approx(table.loc[(name, scale), ["value", "low", "high"]].tolist())

    def test_rank_correlations_are_spearmans_over_what_is_defined(self):
        rng = SEEDS.child("ranks").numpy()
        values = rng.integers(0, 4, (6, 40)) / 4
        values[rng.random(values.shape) < 0.25] = NAN
        for column, rank in zip(values.T, rank_correlations(values), strict=True):
            rows = np.flatnonzero(~np.isnan(column))
            flat = len(rows) < 3 or np.ptp(column[rows]) == 0
            assert rank == pytest.approx(NAN if flat else spearmanr(rows, column[rows]).statistic, nan_ok=True)

    def test_changes_are_between_the_first_and_the_last_defined_scale(self):
        values = np.array([[NAN, 0.5, NAN], [0.25, NAN, 0.5], [0.75, 0.125, NAN]])
        assert changes(values) == pytest.approx([0.5, -0.375, NAN], nan_ok=True)

    def test_tables_are_of_sound_seeds(self):
        broken = mixed()
        broken.grades.loc[(broken.grades["scale"] == 8) & (broken.grades["seed"] == 0), "exact"] = NAN
        table = measures.success_table(broken, SETUP, 8, SEEDS)
        assert table.loc[table["statistic"] == "p_success", "n"].tolist() == [19] * 4
        distances = measures.distance_table(broken, 8, SEEDS)
        assert set(distances["p"]) == {1, 2}
        assert set(distances["n"]) == {19}


def test_an_outcome_is_rebuilt_from_its_ends():
    whole = mixed()
    ends = whole.ends()
    again = Outcome.of_ends(ends, steps=600)
    assert len(ends) == len(SCALES) * COUNT * 2
    assert set(ends) == {"scale", "seed", "length", "exact", "token", "nll", "loss"}
    for length in (6, 8):
        for metric in ("exact", "token", "nll"):
            assert np.array_equal(again.final(length, metric), whole.final(length, metric))
    pd.testing.assert_frame_equal(again.losses, whole.losses)
