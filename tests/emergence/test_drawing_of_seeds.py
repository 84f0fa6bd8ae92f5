"""The figures: what they show is what the outcome holds, also where all seeds fail, some diverged, or there are two scales."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from lib.emergence import drawing, drawing_seeds, measures
from lib.emergence.companion import companion
from lib.emergence.curves import pick_seeds
from lib.emergence.outcome import Outcome
from lib.emergence.setup import Setup
from lib.figures import PALETTE, STYLE
from lib.seeds import Seeds

SEEDS = Seeds(0).child("drawing")
SETUP = Setup(
    task="count", scale="width", scales=(8, 16, 24, 32), width=8, layers=1, head_width=4, positions="none", rotary_share=1.0,
    members=24, steps=40, batch_size=4, lr=3e-3, lr_power=0.0, weight_decay=0.1, warmup=0.05, numbers=26, longest=6,
    context=32, lengths=(6, 8), rows=100, tau=0.2, checkpoints=2, members_at_once=8, device="cpu",
)  # fmt: skip
STEPS = (20, 40)


def outcome_of(exact):
    """Both exams, with half of this exact match [S, K] at the first checkpoint."""
    scales, seeds = SETUP.scales[: len(exact)], range(exact.shape[1])
    grades = [
        pd.DataFrame({"scale": scale, "seed": seeds, "step": step, "length": length, "exact": e, "token": e, "nll": 5 - 4 * e})
        for step, share in zip(STEPS, (0.5, 1), strict=True)
        for length in SETUP.lengths
        for scale, e in zip(scales, exact * share, strict=True)
    ]
    losses = [pd.DataFrame({"scale": scale, "seed": seeds, "loss": 1 + 0.01 * np.arange(len(seeds))}) for scale in scales]
    return Outcome(pd.concat(grades, ignore_index=True), pd.concat(losses, ignore_index=True))


MIXED = outcome_of(np.round(companion(SETUP.scales, middle=22, steepness=0.3).sample(24, SEEDS) * 19) / 19)
DIVERGED = outcome_of(np.array([[0, 0, 1, 1, 0.5], [0, 1, 1, 0, 0.5]], dtype=float))
DIVERGED.grades.loc[(DIVERGED.grades["seed"] == 2) & (DIVERGED.grades["scale"] == 16), ["exact", "token", "nll"]] = float("nan")
OUTCOMES = {
    "mixture": MIXED,
    "diverged": DIVERGED,
    "all fail": outcome_of(np.zeros((4, 1))),
}
FIGURES = {
    "ridge": lambda o: drawing.draw_ridge(o, SETUP),
    "statistics": lambda o: drawing.draw_statistics(measures.success_table(o, SETUP, 8, SEEDS), "width"),
    "inverse": lambda o: drawing.draw_statistics(measures.success_table(o, SETUP, 8, SEEDS), "width", drawing.INVERSE),
    "distances": lambda o: drawing.draw_distances(
        measures.distance_table(o, 8, SEEDS), measures.success_table(o, SETUP, 8, SEEDS), "width"
    ),
    "thresholds": lambda o: drawing.draw_thresholds(o, SETUP, 8, SEEDS),
    "picked": lambda o: drawing_seeds.draw_picked(o, SETUP, 8),
    "likelihood": lambda o: drawing_seeds.draw_likelihood(o, SETUP, 8),
    "heat": lambda o: drawing_seeds.draw_heat(o, SETUP),
    "training": lambda o: drawing_seeds.draw_training(o, SETUP, 16, 8),
    "control": lambda o: drawing_seeds.draw_control(o, SETUP, 8),
}


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context(STYLE):
        yield
    plt.close("all")


def words(fig):
    return " ".join(text.get_text() for text in fig.findobj(mpl.text.Text))


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.filterwarnings("error")
def test_draws_whatever_came_out(outcome, name):
    fig = FIGURES[name](OUTCOMES[outcome])
    fig.draw_without_rendering()
    assert "exact match" in words(fig)
    if outcome == "diverged" and name not in ("statistics", "inverse", "distances"):
        assert "4 seeds, 1 that diverged left out" in words(fig)


@pytest.mark.parametrize("steepness", [1.0, -1.0])
@pytest.mark.filterwarnings("error")
def test_companion_shows_the_mode_and_the_curves_of_equal_luck(steepness):
    model = companion(np.linspace(0, 10, 41).tolist(), middle=5, steepness=steepness)
    fig = drawing.draw_companion(model, 0.2)
    fig.draw_without_rendering()
    _, middle, right = fig.axes
    assert (middle.lines[0].get_ydata() == model.mode()).all()
    assert len(right.lines) == len(drawing.LUCK)


class TestEverySeedIsSeen:
    def test_ridge(self):
        ax = drawing.draw_ridge(MIXED, SETUP).axes[1]
        strips = [line for line in ax.lines if len(line.get_xdata()) == 24]
        assert [sorted(line.get_xdata()) for line in strips] == np.sort(MIXED.final(8)).tolist()
        marks = [line.get_xdata()[0] for line in ax.lines if line.get_label() == "mean"]
        assert marks == MIXED.final(8).mean(1).tolist()

    def test_picked(self):
        fig = drawing_seeds.draw_picked(MIXED, SETUP, 8)
        runs, picked = MIXED.final(8), pick_seeds(MIXED.final(8).T)
        *bundle, emergent, linear = fig.axes[0].lines
        assert np.array_equal([line.get_ydata() for line in bundle], runs.T)
        assert (emergent.get_ydata() == runs[:, picked.emergent]).all()
        assert (linear.get_ydata() == runs[:, picked.linear]).all()
        assert f"seed {picked.linear}: B" in words(fig)
        assert "only a label" in words(fig)

    def test_picked_seeds_keep_their_numbers_when_others_are_left_out(self):
        label = drawing_seeds.draw_picked(DIVERGED, SETUP, 8).axes[0].lines[-1].get_label()
        assert "seed 1:" in label  # 0 to 1, the only rise

        shifted = Outcome(*(t.assign(seed=t["seed"] + 10) for t in (DIVERGED.grades, DIVERGED.losses)))
        assert "seed 11:" in drawing_seeds.draw_picked(shifted, SETUP, 8).axes[0].lines[-1].get_label()

    def test_heat_rows_are_sorted_from_best_to_worst(self):
        for ax, row in zip(drawing_seeds.draw_heat(MIXED, SETUP).axes, MIXED.final(8), strict=False):
            assert (ax.images[0].get_array()[:, 1] == -np.sort(-row)).all()

    def test_training_ends_in_its_histogram(self):
        left, right = drawing_seeds.draw_training(MIXED, SETUP, 16, 8).axes
        assert sum(patch.get_width() for patch in right.patches) == 24
        best = next(line for line in left.lines if line.get_label() == "best")
        assert best.get_ydata()[-1] == MIXED.final(8)[1].max()
        assert best.get_xdata().tolist() == list(STEPS)

    def test_likelihood_and_its_margins(self):
        main, side, top = (drawing_seeds.draw_likelihood(MIXED, SETUP, 8).axes[i] for i in (1, 2, 0))
        assert sum(len(dots.get_offsets()) for dots in main.collections) == 4 * 24
        assert sum(patch.get_height() for patch in top.patches) == 4 * 24
        assert sum(patch.get_width() for patch in side.patches) == 4 * 24

    def test_control_counts_the_same_seeds_twice(self):
        for ax in drawing_seeds.draw_control(MIXED, SETUP, 8).axes:
            assert sum(patch.get_height() for patch in ax.patches) == 24


class TestTables:
    def test_panels_show_the_table(self):
        table = measures.success_table(MIXED, SETUP, 8, SEEDS)
        for ax, name in zip(drawing.draw_statistics(table, "width").axes, drawing.PANELS, strict=True):
            rows = table[table["statistic"] == name]
            assert ax.lines[0].get_ydata() == pytest.approx(rows["value"].to_numpy(), nan_ok=True)
            assert ax.get_ylim() == (-0.03, 1.03)

    def test_a_mean_of_no_successes_is_a_gap_and_its_count_is_shown(self):
        ax = drawing.draw_statistics(measures.success_table(OUTCOMES["all fail"], SETUP, 8, SEEDS), "width").axes[-1]
        assert np.isnan(ax.lines[0].get_ydata()).all()
        assert [text.get_text() for text in ax.texts] == ["0"] * 4

    def test_thresholds_are_nested(self):
        lines = drawing.draw_thresholds(MIXED, SETUP, 8, SEEDS).axes[0].lines
        shares = np.array([line.get_ydata() for line in lines])
        assert (np.diff(shares, axis=0) <= 0).all()
        assert [line.get_label() for line in lines].count("0.2 (here)") == 1

    def test_distances_reach_into_the_picture(self):
        distances = measures.distance_table(MIXED, 8, SEEDS)
        fig = drawing.draw_distances(distances, measures.success_table(MIXED, SETUP, 8, SEEDS), "width")
        for ax in fig.axes:
            assert ax.get_ylim()[0] == 0
            assert ax.get_ylim()[1] >= distances["high"].max()
        assert [to_hex(line.get_color()) for line in fig.axes[0].lines[:2]] == [c.lower() for c in PALETTE[:2]]
