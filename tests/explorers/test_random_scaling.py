"""The random-scaling explorer as plain functions: distributions, statistics, picks, words, pictures, and seeds trained now."""

import json
import math
import runpy
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.emergence.companion import companion
from lib.emergence.curves import affordable_seeds, pick_seeds
from lib.emergence.density import histogram, kde
from lib.emergence.distances import wasserstein_1d
from lib.emergence.outcome import Outcome
from lib.emergence.setup import Setup
from lib.emergence.statistics import seed_statistics
from lib.explorers import random_scaling as method
from lib.explorers.random_scaling_fresh import fresh_seeds
from lib.explorers.random_scaling_runs import COLUMNS, POINTS, QUANTILES, between, lanes, runs_of, seen
from lib.explorers.random_scaling_scene import scene_of
from lib.explorers.random_scaling_state import FRESH, MIXTURE_SCALES, STEPS, Scene, State
from lib.explorers.random_scaling_still import draw_still
from lib.explorers.random_scaling_view import afford_data, frame_data, panels_data, stage_data
from lib.explorers.random_scaling_words import INTERPOLATED, NO_THRESHOLD, picks, readouts
from lib.seeds import Seeds
from lib.studies.random_scaling import Params


@pytest.fixture(scope="module")
def built():
    return runpy.run_path(str(Path(__file__).parent / "random_scaling_scene.py"))


@pytest.fixture(scope="module")
def scene(built):
    return built["scene"]


@pytest.fixture(scope="module")
def mixture(scene):
    """A state of the analytic mixture."""
    return method.changed(scene, scene.first, source="analytic")


def scene_from(values, scales=(1, 2, 3), **more):
    """A scene of given accuracies [S, K] at one exam length."""
    exact = np.asarray(values, dtype=float)
    tables = {("exact", 6): exact, ("token", 6): exact, ("nll", 6): 2 * (1 - exact)}
    return Scene.of(tables, scales, range(exact.shape[1]), seeds=Seeds(1), length=6, **more)


def says(scene, state, batches=()):
    return {line.title: line for line in readouts(scene, method.frame(scene, state), batches)}


def everything(scene, state):
    """All that the browser gets, in JSON, which knows no NaN."""
    shown = method.frame(scene, state)
    parts = [stage_data(scene, shown), panels_data(shown), afford_data(shown), frame_data(scene, shown)]
    return json.dumps(parts, allow_nan=False)


def test_the_first_state_is_where_success_is_nearest_to_an_even_chance(scene):
    method.check(scene, scene.first)
    shares = (scene.values["exact", 10] > 0.2).mean(1)
    assert scene.first.step == STEPS * int(np.abs(shares - 0.5).argmin())
    assert (scene.first.length, scene.first.tau) == (10, 0.2)


@pytest.mark.parametrize("metric", ["exact", "token", "nll"])
def test_at_trained_scales_exactly_the_data_are_shown(scene, metric):
    for place in range(len(scene.scales)):
        state = replace(scene.first, step=STEPS * place, metric=metric, tau=0.5)
        values, shown = scene.values[metric, 10][place], method.frame(scene, state)
        now, end = shown.seen, shown.runs.end
        assert now.known
        assert now.dots.tolist() == sorted(values)
        assert values[now.who].tolist() == now.dots.tolist(), "each dot says which seed it is"
        assert now.own.tolist() == values.tolist()
        assert (now.shares * len(values)).round(9).tolist() == histogram(values / end).tolist()
        assert now.density == pytest.approx(kde(values / end, POINTS) / 20)
        assert now.mean == pytest.approx(values.mean())
        if metric == "nll":
            assert math.isnan(now.p_success)
            assert math.isnan(now.mean_success)
        else:
            assert now.p_success == (values > 0.5).mean()


def test_between_trained_scales_the_path_is_the_wasserstein_geodesic(scene):
    left, right = scene.values["exact", 10][2:4]
    for step in range(1, STEPS):
        now = seen(scene, replace(scene.first, step=2 * STEPS + step))
        t = step / STEPS
        assert not now.known
        for p in (1, 2):
            whole = wasserstein_1d(left, right, p)
            assert wasserstein_1d(left, now.dots, p) == pytest.approx(t * whole)
            assert wasserstein_1d(now.dots, right, p) == pytest.approx((1 - t) * whole)
        assert now.mean == pytest.approx((1 - t) * left.mean() + t * right.mean())


@given(st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=2, max_size=4), st.integers(0, 3 * STEPS))
@settings(max_examples=25, deadline=None)
def test_whatever_the_seeds_do_everything_can_be_drawn(rows, step):
    scene = scene_from(rows, range(1, len(rows) + 1))
    step = min(step, STEPS * (len(rows) - 1))
    now = seen(scene, State(step, 6))
    assert now.shares.sum() == pytest.approx(1)
    assert (np.diff(now.dots) >= 0).all()
    assert 0 <= now.mean <= 1
    for metric in ("exact", "nll"):
        everything(scene, State(step, 6, metric=metric, seed=2))


@pytest.mark.parametrize(
    "values",
    [np.zeros((3, 6)), np.ones((3, 6)), [[0, 1], [1, 0]], np.eye(3, 25)],
    ids=["all fail", "all succeed", "two seeds at two scales", "one value for nearly all"],
)
def test_degenerate_outcomes_have_pictures_and_words(values):
    scene = scene_from(values, range(1, len(values) + 1))
    for source in ("trained", "analytic"):
        for metric in ("exact", "nll") if source == "trained" else ("exact",):
            state = method.changed(scene, scene.first, source=source, metric=metric, seed=1)
            for step in (0, 7, STEPS):
                assert everything(scene, replace(state, step=step))
    plt.close(draw_still(scene, scene.first))
    assert says(scene, scene.first)["two groups?"].value == "cannot be told"


@given(st.lists(st.floats(0, 1), max_size=40), st.lists(st.floats(0, 1), max_size=40))
@settings(max_examples=50, deadline=None)
def test_no_two_dots_of_a_column_share_a_lane(first, later):
    first, later = np.array(first), np.array(later)
    at = np.concatenate([first, later])
    columns = np.minimum((at * COLUMNS).astype(int), COLUMNS - 1)
    found = np.concatenate([lanes(first), lanes(later, first)])
    assert len({*zip(columns.tolist(), found.tolist(), strict=True)}) == len(at)
    assert (found < len(at)).all()


def test_a_seed_s_ring_is_at_its_dot_and_on_its_own_line_in_between(scene):
    values = scene.values["exact", 10]
    for place in range(len(scene.scales)):
        now = seen(scene, replace(scene.first, step=STEPS * place))
        assert now.own[now.who].tolist() == now.dots.tolist()
        assert now.own_lanes[now.who].tolist() == now.lanes.tolist()
    half = seen(scene, replace(scene.first, step=STEPS // 2))
    assert half.own == pytest.approx(values[:2].mean(0))
    assert between(values, 0).tolist() == values[0].tolist()


@pytest.mark.parametrize("tau", [0.0, 0.2, 3 / 7, 0.95])
def test_panels_are_the_study_s_statistics(scene, tau):
    for metric in ("exact", "token"):
        panels = method.frame(scene, replace(scene.first, metric=metric, tau=tau)).panels
        table = seed_statistics(scene.values[metric, 10], scene.scales, seeds=scene.seeds.child("bands"), tau=tau)
        for name, panel in panels.items():
            rows = table[table["statistic"] == {"mode": "mode_histogram"}.get(name, name)]
            assert panel.at == tuple(range(len(scene.scales)))
            for column in ("value", "low", "high"):
                assert getattr(panel, column) == pytest.approx(rows[column].tolist(), nan_ok=True), (name, column)


def test_success_is_above_the_threshold_and_not_at_it():
    scene = scene_from([[0.2, 0.2, 0.6, 0.0], [0.2, 0.6, 0.6, 0.8], [1, 1, 1, 1]])
    state = State(0, 6, tau=0.2)
    assert method.frame(scene, state).panels["p_success"].value == (0.25, 0.75, 1.0)
    assert says(scene, state)["P(success)"].detail.endswith("1 of 4 seeds above τ = 0.20")
    above = replace(state, tau=0.6)
    assert math.isnan(method.frame(scene, above).panels["mean_success"].value[0]), "none succeeds: not 0"
    assert says(scene, above)["mean given success"].value == "none"


def test_nats_have_no_threshold_and_no_success(scene):
    state = replace(scene.first, metric="nll")
    shown = method.frame(scene, state)
    assert list(shown.panels) == ["mode", "mean"]
    assert shown.afford == {}
    assert shown.runs.end > scene.values["nll", 10].max() / 0.81
    assert method.idle(state) >= {"tau", "afford"}
    assert panels_data(shown)["why"] == NO_THRESHOLD
    assert frame_data(scene, shown)["marks"]["tau"] is None
    assert {"P(success)", "looks emergent"}.isdisjoint(says(scene, state))
    assert says(scene, state)["mean"].value.endswith("nats")
    unit = shown.runs.end
    table = seed_statistics(scene.values["nll", 10] / unit, scene.scales, seeds=scene.seeds.child("bands")).set_index("statistic")
    assert shown.panels["mode"].value == pytest.approx(table.loc["mode_histogram", "value"] * unit)
    assert shown.panels["mean"].low == pytest.approx(table.loc["mean", "low"] * unit)


def test_picked_seeds_are_those_of_the_largest_scores(scene):
    for metric, sign in (("exact", 1), ("token", 1), ("nll", -1)):
        state = replace(scene.first, metric=metric, length=12)
        shown, picked = method.frame(scene, state), pick_seeds(sign * scene.values[metric, 12].T)
        stage = stage_data(scene, shown)
        assert (stage["emergent"], stage["linear"]) == (picked.emergent, picked.linear)
        assert f"seed {scene.numbers[picked.linear]}, L = " in picks(scene, shown)["linear"]
    falling = scene_from([[0.9, 0.8, 0.9], [0.5, 0.3, 0.5], [0.1, 0.1, 0.2]])
    assert "no seed gains" in picks(falling, method.frame(falling, falling.first))["emergent"]


def test_what_one_can_afford_is_the_study_s_function(scene):
    shown = method.frame(scene, scene.first)
    sizes = method.affordable(shown.runs)
    table = affordable_seeds(
        scene.values["exact", 10], scene.scales, sizes, seeds=scene.seeds.child("afford"), draws=method.DRAWS
    )
    assert [best for best, _ in shown.afford.values()] == table[table["report"] == "best"]["emergent"].tolist()
    assert [median for _, median in shown.afford.values()] == table[table["report"] == "median"]["emergent"].tolist()
    assert sizes == (1, 2, 3, 5, 8, 12, 16, 24), "30 seeds"
    words = says(scene, replace(scene.first, afford=3))["looks emergent"]
    assert words.value == f"{100 * shown.afford[3][0]:.0f} %"
    assert f"{100 * shown.afford[3][1]:.0f} % for their median" in words.detail


@pytest.mark.parametrize(("middle", "steepness"), [(5.0, 1.5), (3.0, 3.0), (6.5, -1.0), (1.0, 0.0)])
def test_the_mixture_is_exact_at_every_scale(scene, mixture, middle, steepness):
    for step in (0, 33, 80, 160):
        state = replace(mixture, step=step, middle=middle, steepness=steepness, tau=0.3)
        scale = 1 + step / STEPS
        law = companion([0.5, scale, 10], middle=middle, steepness=steepness, heights=(6 - 0.5 * 1.5, 18 + 1.5))
        now = seen(scene, state)
        assert now.known
        assert now.mean == pytest.approx(law.mean()[1])
        assert now.p_success == pytest.approx(law.p_success(0.3)[1])
        assert now.mean_success == pytest.approx(law.mean_success(0.3)[1])
        assert now.mode == law.histogram_mode()[1]
        assert law.cdf(now.dots)[1] == pytest.approx(QUANTILES, abs=1e-9)
        assert now.shares.sum() == pytest.approx(1)


def test_the_mixture_s_sliders_change_the_model_and_its_mode_jumps_while_the_rest_is_smooth(scene, mixture):
    jumps = {}
    for middle in (3.0, 5.0, 7.0):
        panels = method.frame(scene, replace(mixture, middle=middle)).panels
        steps = {name: np.abs(np.diff(panel.value)) for name, panel in panels.items()}
        assert steps["mode"].max() > 0.8, "from one drawn point to the next"
        assert max(steps["p_success"].max(), steps["mean_success"].max(), steps["mean"].max()) < 0.1
        assert panels["mode"].low == (), "exact, so without a band"
        jumps[middle] = panels["mode"].at[int(steps["mode"].argmax())]
    assert sorted(jumps.values()) == list(jumps.values())
    assert jumps[7.0] - jumps[3.0] == pytest.approx(4, abs=0.5)
    inverse = method.frame(scene, replace(mixture, steepness=-1.0, tau=0.5)).panels
    assert inverse["p_success"].value[-1] < inverse["p_success"].value[0] - 0.8
    assert (np.diff(inverse["mean_success"].value) > 0).all()


def test_the_lesson_is_said_in_numbers(scene, mixture):
    for state in (scene.first, mixture):
        panels = method.frame(scene, state).panels
        mode = np.array(panels["mode"].value)[:: STEPS // method.FINE if state is mixture else 1]
        assert len(mode) == len(runs_of(scene, state).scales)
        line = says(scene, state)["largest step of the mode"]
        assert float(line.value) == pytest.approx(np.diff(mode)[np.abs(np.diff(mode)).argmax()], abs=0.006)
        assert "P(success) moves by" in line.detail


def test_another_source_keeps_the_place_and_forgets_what_was_the_old_one_s(scene):
    state = replace(scene.first, step=STEPS * 5, metric="nll", seed=7, afford=24, length=12)
    there = method.changed(scene, state, source="analytic")
    assert (there.step, there.metric, there.seed, there.afford) == (STEPS * (len(MIXTURE_SCALES) - 1), "exact", None, 24)
    back = method.changed(scene, replace(there, afford=32), source="trained")
    assert (back.step, back.length, back.afford) == (STEPS * 5, 12, 24)
    assert method.idle(there) == {"length", "metric"}
    assert method.idle(scene.first) == {"middle", "steepness"}


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1}, {"step": 101}, {"step": 2.5}, {"length": 9}, {"tau": -0.1}, {"tau": 0.96}, {"metric": "loss"},
        {"source": "paper"}, {"afford": 4}, {"afford": 32}, {"seed": 30}, {"seed": -1}, {"middle": 0.5}, {"steepness": 4},
    ],
    ids=str,
)  # fmt: skip
def test_states_that_cannot_be_are_refused_in_one_line(scene, change):
    (name,) = change
    with pytest.raises(ValueError, match=rf"^{name}: got [^\n]* allowed (is|are) [^\n]*$"):
        method.frame(scene, replace(scene.first, **change))


def test_a_study_s_own_threshold_can_be_chosen_however_high():
    scene = scene_from(np.eye(3), tau=0.97)
    assert scene.taus == (0.0, 0.97)
    assert everything(scene, scene.first)


def test_the_mixture_has_accuracies_only(scene, mixture):
    with pytest.raises(ValueError, match="metric: got 'nll', allowed is exact"):
        method.changed(scene, mixture, metric="nll")


def test_words_say_what_is_interpolated_and_how_many_seeds_there_are(scene, mixture):
    whole = says(scene, scene.first)
    assert whole["scale"].detail.startswith("n = 30 seeds")
    assert not whole["scale"].warn
    assert whole["mean"].detail.startswith("95 %: ")
    between_scales = says(scene, replace(scene.first, step=33))
    assert between_scales["scale"].warn
    assert INTERPOLATED in between_scales["scale"].detail
    for name in ("mode", "mean", "P(success)", "mean given success"):
        assert between_scales[name].detail.startswith("interpolated")
    assert not says(scene, replace(mixture, step=33))["scale"].warn, "the mixture is known everywhere"
    left = whole["left out"]
    assert (left.value, left.warn) == ("2 of 32 seeds", True)
    assert left.detail == "diverged: 5 (at 16), 20 (at 8, 64)"
    assert "left out" not in says(scene, mixture)


def test_a_clicked_seed_is_told_in_numbers(scene):
    seed = 12
    line = says(scene, replace(scene.first, seed=seed))[f"seed {scene.numbers[seed]}"]
    curve = scene.values["exact", 10][:, seed]
    assert line.value == ", ".join(f"{value:.2f}" for value in curve)
    row = pick_seeds(scene.values["exact", 10].T).table.iloc[seed]
    assert f"L = {row['linearity']:.2f}, B = {row['breakthroughness']:.1f}" in line.detail
    assert f"largest gain {np.diff(curve).max():.2f}" in line.detail
    assert "looks emergent" in line.detail


def test_two_groups_are_told_only_where_there_are_enough_seeds(scene):
    cluster = np.repeat([[0.0, 0.1, 0.8, 0.9]], 6, axis=0).reshape(1, -1).repeat(2, axis=0)
    line = says(scene_from(cluster, (1, 2)), State(0, 6))["two groups?"]
    assert line.value == "0.05 and 0.85"
    assert says(scene_from(cluster[:, :12], (1, 2)), State(0, 6))["two groups?"].detail.startswith("12 seeds")


def test_seeds_that_diverged_are_left_out_at_all_scales_and_named(built):
    scene, grades = built["scene"], built["grades"]
    assert scene.left_out == built["DIVERGED"]
    assert set(scene.numbers) == set(range(32)) - {5, 20}
    for (metric, length), values in scene.values.items():
        rows = grades[(grades["length"] == length) & grades["seed"].isin(scene.numbers)]
        assert np.array_equal(values, rows.pivot(index="scale", columns="seed", values=metric).to_numpy())


def test_a_scene_without_two_sound_seeds_is_refused(built):
    grades = built["grades"].copy()
    grades.loc[(grades["scale"] == 8) & (grades["seed"] > 0), "nll"] = np.nan
    with pytest.raises(ValueError, match="outcome: got 1 of 32 seeds that are finite at every scale, allowed are 2 or more"):
        scene_of(Outcome(grades, built["outcome"].losses), seeds=Seeds(0), length=10)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scales": (1,)}, "scales: got 1"),
        ({"scales": (1, 3, 2)}, "scales: got"),
        ({"numbers": (4,)}, "numbers: got 1"),
        ({"numbers": range(3)}, "values: got 4 seeds"),
        ({"length": 7}, "length: got 7, allowed are 6"),
        ({"tau": 1.0}, "tau: got 1.0"),
        ({"exact": np.full((3, 4), 1.5)}, "values: got 1.5"),
        ({"exact": np.full((3, 4), np.nan)}, "values: got nan"),
        ({"nll": np.full((3, 4), -0.5)}, "values: got 4 seeds from -0.5 up for nll"),
        ({"token": None}, "allowed is one for each metric and length"),
    ],
    ids=str,
)
def test_scenes_that_do_not_fit_are_refused_in_one_line(change, words):
    good = {"scales": (1, 2, 3), "numbers": range(4), "length": 6, "tau": 0.2}
    tables = {name: np.full((3, 4), 0.5) for name in ("exact", "token", "nll")}
    args, tables = (
        good | {k: v for k, v in change.items() if k in good},
        tables | {k: v for k, v in change.items() if k in tables},
    )
    values = {(metric, 6): table for metric, table in tables.items() if table is not None}
    with pytest.raises(ValueError, match=words) as refusal:
        Scene.of(values, args.pop("scales"), args.pop("numbers"), seeds=Seeds(0), **args)
    assert "\n" not in str(refusal.value)


def test_fresh_seeds_are_open_circles_at_the_smallest_scale_and_nowhere_else(scene, built):
    batches = [method.train_now(scene, batch) for batch in (0, 1)]
    for batch, found in enumerate(batches):
        assert found.values == tuple(built["train"](batch).tolist())
        assert len(found.values) == FRESH
    smallest = replace(scene.first, step=0)
    now = frame_data(scene, method.frame(scene, smallest), batches)
    assert sorted(now["fresh"]["dots"]) == pytest.approx(sorted(batches[0].values + batches[1].values), abs=1e-4)
    assert now["shares"] == frame_data(scene, method.frame(scene, smallest))["shares"], "bars are of the study's seeds"
    both = np.concatenate([scene.values["exact", 10][0], *(each.values for each in batches)])
    words = says(scene, smallest, batches)["fresh seeds"]
    assert words.value.startswith("16 trained now")
    assert f"all 46 together: P(success) = {(both > 0.2).mean():.2f}" in words.detail
    for state in (replace(scene.first, step=1), replace(smallest, metric="token"), replace(smallest, length=8)):
        assert frame_data(scene, method.frame(scene, state), batches)["fresh"]["dots"] == []
        assert method.can_train(scene, state) == (state.length == 10 and state.metric == "exact")
    assert says(scene, replace(smallest, length=8), batches)["fresh seeds"].warn


@pytest.mark.parametrize("found", [[0.5] * 7, [0.5] * 7 + [1.5], [np.nan] * 8, [], [-0.1] * 8], ids=str)
def test_grades_of_fresh_seeds_that_are_none_are_refused(found):
    scene = scene_from(np.eye(3), train=lambda batch: found)
    with pytest.raises(ValueError, match=r"^train: got .*, allowed are 8 shares from 0 to 1, NaN for some that diverged$"):
        method.train_now(scene, 0)


def test_fresh_seeds_that_diverged_are_counted():
    scene = scene_from(np.eye(3), train=lambda batch: [0.5] * 6 + [np.nan] * 2)
    found = method.train_now(scene, 0)
    assert (found.values, found.diverged) == ((0.5,) * 6, 2)
    assert "6 trained now, 2 diverged" in says(scene, State(0, 6), [found])["fresh seeds"].value
    with pytest.raises(ValueError, match="train: got none with this scene"):
        method.train_now(scene_from(np.eye(3)), 0)


def test_fresh_seeds_are_trained_by_the_study_s_recipe():
    tiny = {"scales": [8, 16], "layers": 1, "members": 4, "steps": 4, "batch_size": 4, "numbers": 8, "longest": 3, "rows": 32}
    tiny |= {"context": 12, "lengths": [3, 4], "checkpoints": 2, "device": "cpu"}
    setup = Setup.of(Params().model_dump() | tiny)
    train = fresh_seeds(setup, Seeds(2), 3)
    first = np.asarray(train(0))
    assert first.shape == (FRESH,)
    assert ((first >= 0) & (first <= 1)).all()
    assert np.array_equal(first, fresh_seeds(setup, Seeds(2), 3)(0)), "a batch depends on its number alone"


@pytest.mark.parametrize("metric", ["exact", "token", "nll"])
def test_the_still_picture_shows_what_the_explorer_does(scene, mixture, metric):
    shown = draw_still(scene, replace(scene.first, metric=metric, step=50, seed=3))
    titles = [ax.get_title(loc=loc) for sub in shown.subfigs for ax in _axes(sub) for loc in ("left", "center")]
    assert any(title.startswith("30 seeds at width 24 to 32, 50 % of the way") for title in titles)
    assert ("P(success)" in titles) == (metric != "nll")
    plt.close(shown)
    plt.close(draw_still(scene, mixture))


def _axes(figure):
    return [*figure.axes, *(ax for sub in figure.subfigs for ax in sub.axes)]


def test_every_end_of_every_control_can_be_drawn(scene, mixture):
    trained = {"tau": scene.taus, "step": (0, 100), "afford": (1, 24), "seed": (None, 0, 29), "length": scene.lengths}
    for name, values in trained.items():
        for value in values:
            for metric in ("exact", "token", "nll"):
                assert everything(scene, replace(scene.first, metric=metric, **{name: value}))
    analytic = {"tau": scene.taus, "step": (0, 160), "middle": (1, 9), "steepness": (-3, 3), "seed": (0, 39), "afford": (1, 32)}
    for name, values in analytic.items():
        for value in values:
            assert everything(scene, replace(mixture, **{name: value}))


def test_the_same_scene_is_drawn_the_same(built, scene):
    again = scene_of(
        built["outcome"], seeds=built["SEEDS"].child("explorer"), length=10, source=scene.source, train=built["train"]
    )
    assert everything(again, again.first) == everything(scene, scene.first)
