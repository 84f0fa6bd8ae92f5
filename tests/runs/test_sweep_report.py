"""The report of a sweep: a row per finished run in grid order, nothing lost in silence, a figure that says what it shows."""

import itertools
import json
import math
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lib.runs.records import Summary
from lib.runs.stored import read_plan
from lib.runs.sweeps import sweep_table
from lib.runs.sweeps.figure import chosen_metrics, draw
from lib.runs.sweeps.judge import over_seeds
from lib.runs.sweeps.panels import MARKERS
from lib.runs.sweeps.record import FailedRow, gather, write_report
from lib.runs.sweeps.table import tabulate
from lib.runs.sweeps.tally import tally
from lib.runs.sweeps.view import scale_of, view_of
from lib.runs.sweeps.words import axes_in_words
from lib.studies import Claim, Metric
from tests.runs.stored_runs import CLAIM, measure, patch, plan

AXES = {"seed": [0, 1, 2], "width": [16, 64]}
REPORT = {"plan.json", "table.parquet", "figure.png", "figure.svg", "failed.json", "summary.json"}
HELD, MISSED, OPEN = "held", "not held", "not tested at this size"


def by_width(params):
    """Repeats whose mean tells which run they come from."""
    return [params["width"] + params["seed"] + part for part in (-1.0, 0.0, 1.0)]


def failed(folder):
    return json.loads((folder / "failed.json").read_text())


@pytest.fixture
def swept(outputs):
    """A sweep whose six runs are all there."""
    return measure(plan(outputs, AXES), by_width)


def tabled(folder):
    """The table of a sweep's finished runs, before it is written."""
    planned = read_plan(folder)
    return tabulate(planned, gather(planned, folder.parents[1], [])[0])


def table(outputs, axes, gap=by_width, only=None):
    """The table of a sweep over `axes`."""
    return tabled(measure(plan(outputs, axes), gap, only=only))


# The table


def test_what_is_read_is_what_was_tabulated(swept):
    write_report(swept, [])
    read, made = sweep_table("alpha"), tabled(swept)
    pd.testing.assert_frame_equal(read, made)
    assert read.attrs == made.attrs


def test_every_finished_run_has_its_row_in_grid_order_the_last_axis_fastest(swept):
    summary = write_report(swept, [])
    frame = sweep_table("alpha")
    assert list(frame["run.id"]) == [f"r00{n}" for n in range(6)]
    assert list(zip(frame["seed"], frame["width"], strict=True)) == list(itertools.product(*AXES.values()))
    assert list(frame["metric.gap"]) == [seed + width for seed, width in itertools.product(*AXES.values())]
    assert (summary.finished, summary.failed, summary.missing) == (6, 0, 0)


def test_columns_are_facts_then_axes_then_other_parameters_then_numbers_then_claims(swept):
    facts = ["id", "size", "device", "threads", "started_utc", "wall_s", "cpu_s", "peak_rss_mb"]
    numbers = [f"metric.{name}{end}" for name in ("gap", "cost") for end in ("", ".low", ".high", ".n")]
    expected = [*(f"run.{fact}" for fact in facts), "seed", "width", "rate", "parts", *numbers, "claim.gap"]
    assert list(tabled(swept).columns) == expected


def test_the_numbers_of_a_row_are_those_of_its_run(swept):
    row, metric = tabled(swept).iloc[3], Metric.of([64.0, 65.0, 66.0])
    assert (row["metric.gap"], row["metric.gap.low"], row["metric.gap.high"], row["metric.gap.n"]) == (
        metric.mean, metric.low, metric.high, 3,
    )  # fmt: skip
    assert (row["run.wall_s"], row["run.cpu_s"], row["run.peak_rss_mb"], row["run.threads"]) == (61.5, 100.0, 2048.0, 2)
    assert row["claim.gap"] == HELD
    assert np.isnan(row["metric.cost.low"])  # one repeat has no interval


def test_lists_are_parquet_lists_and_come_back_as_tuples_to_group_by(outputs):
    axes = {"held_out": [["noise"], ["shift", "blur"]], "seed": [0, 1]}
    write_report(measure(plan(outputs, axes), lambda p: [1.0 + len(p["held_out"])]), [])
    frame = sweep_table("alpha")
    schema = parquet.read_schema(outputs / "alpha" / "sweeps" / "a1b2c3d4e5f6" / "table.parquet")
    assert str(schema.field("held_out").type).startswith("list<")
    assert frame.groupby("held_out")["metric.gap"].mean().to_dict() == {("noise",): 2.0, ("shift", "blur"): 3.0}
    assert list(frame["parts"]) == [("a", "b")] * 4


def test_what_a_run_did_not_measure_is_nan_and_what_it_did_not_judge_is_missing(swept):
    patch(swept.parents[1] / "r002" / "results.json", metrics={}, claims=[])
    write_report(swept, [])
    frame = sweep_table("alpha")
    assert list(frame["metric.gap"].isna()) == list(frame["metric.gap.n"].isna()) == list(frame["claim.gap"].isna())
    assert list(np.flatnonzero(frame["metric.gap"].isna())) == [2]


def test_the_table_says_what_it_is(swept):
    write_report(swept, [])
    attrs = sweep_table("alpha").attrs
    assert (attrs["axes"], attrs["headline"], attrs["title"], attrs["sweep_id"]) == (
        AXES, "gap", "The study alpha", "a1b2c3d4e5f6",
    )  # fmt: skip
    assert attrs["units"] == {"gap": "points", "cost": "s"}


def test_units_of_axes_come_from_the_schema(outputs, tiny):
    frame = tabled(measure(plan(outputs, {"sleep_s": [0.0, 0.5], "scale": [1.0]}, study="tiny"), lambda p: [p["sleep_s"]]))
    assert frame.attrs["parameter_units"] == {"sleep_s": "s"}
    figure, _ = draw(frame)
    assert "sleep_s (s)" in {axes.get_xlabel() for axes in figure.get_axes()}


# What failed


def test_failed_and_missing_runs_are_named_in_grid_order_and_the_counts_add_up(outputs):
    folder = measure(plan(outputs, AXES), by_width, only={"r000", "r003", "r004"})
    told = FailedRow("r005", {"seed": 2, "width": 64} | {"rate": 1e-3}, "ValueError: no", "train", "alpha/failed/r005-1", 2)
    summary = write_report(folder, [told])
    assert (summary.finished, summary.failed, summary.missing) == (3, 1, 2)
    assert [(row["run_id"], row["state"]) for row in failed(folder)] == [
        ("r001", "missing"), ("r002", "missing"), ("r005", "failed"),
    ]  # fmt: skip
    assert failed(folder)[0]["params"] == {"seed": 0, "width": 64, "rate": 1e-3, "parts": ["a", "b"]}
    assert failed(folder)[0]["reason"] == "has not been finished"
    assert failed(folder)[2] == {
        "run_id": "r005", "params": told.params, "reason": "ValueError: no", "cell": "train", "kept": "alpha/failed/r005-1",
        "strikes": 2, "state": "failed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda run: (run / "results.json").write_text("{"), "results.json: Invalid JSON"),
        (lambda run: (run / "results.json").unlink(), "results.json: is missing"),
        (lambda run: (run / "provenance.json").unlink(), "provenance.json: is missing"),
        (lambda run: (run / "provenance.json").write_bytes(b"\xff"), "provenance.json: Invalid JSON"),
        (lambda run: (run / "results.json").write_text((run / "results.json").read_text().replace("17.0", "NaN")), "finite"),
        (lambda run: patch(run / "results.json", study="beta"), "results.json: is a run of beta"),
        (lambda run: patch(run / "results.json", params={"seed": 1}), "results.json: width: got 'nothing', planned 16"),
    ],
)
def test_a_damaged_run_is_missing_with_its_reason_and_costs_no_other(swept, harm, why):
    harm(swept.parents[1] / "r002")
    runs, lost = gather(read_plan(swept), swept.parents[1], [])
    assert [run.folder.name for run in runs] == ["r000", "r001", "r003", "r004", "r005"]
    assert [(row.run_id, row.state) for row in lost] == [("r002", "missing")]
    assert why in lost[0].reason
    assert "\n" not in lost[0].reason


def test_a_report_on_damaged_runs_tells_of_them_and_goes_on(swept):
    (swept.parents[1] / "r002" / "results.json").write_text("{")
    (swept.parents[1] / "r003" / "provenance.json").unlink()
    summary = write_report(swept, [FailedRow("r003", {}, "its worker died")])
    assert (summary.finished, summary.failed, summary.missing) == (4, 1, 1)
    assert [(row["run_id"], row["state"]) for row in failed(swept)] == [("r002", "missing"), ("r003", "failed")]
    assert list(sweep_table("alpha")["run.id"]) == ["r000", "r001", "r004", "r005"]


def test_a_run_that_failed_here_but_is_there_counts_as_finished(swept):
    summary = write_report(swept, [FailedRow("r001", {}, "lost its worker", strikes=3)])
    assert (summary.finished, summary.failed, failed(swept)) == (6, 0, [])


@pytest.mark.parametrize("kept", ["/etc", "../../elsewhere"])
def test_a_kept_folder_outside_the_outputs_is_refused(kept):
    with pytest.raises(ValueError, match="inside the outputs folder"):
        FailedRow("r001", {}, "no", kept=kept)


def test_a_failure_that_is_not_of_this_sweep_is_refused(swept):
    with pytest.raises(ValueError, match="failures: got r999, allowed: runs of the sweep a1b2c3d4e5f6"):
        write_report(swept, [FailedRow("r999", {}, "no")])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"runs": ["r000"]}, "1 runs for 6 points of the grid"),
        ({"runs": ["r000"] * 6}, "the same run stands at two points"),
        ({"axes": {"seed": []}}, "axes.seed"),
        ({"schema": 2}, "schema: Input should be 1, got 2"),
    ],
)
def test_a_damaged_plan_is_refused(swept, changes, why):
    patch(swept / "plan.json", **changes)
    with pytest.raises(ValueError, match=why):
        write_report(swept, [])


# The folder


def test_the_report_is_whole_and_leaves_nothing_beside(swept):
    write_report(swept, [])
    assert {file.name for file in swept.iterdir()} == REPORT


def test_a_second_report_replaces_the_first(outputs):
    folder = measure(plan(outputs, AXES), by_width, only={"r000"})
    assert write_report(folder, [FailedRow("r001", {"seed": 0, "width": 64}, "no")]).finished == 1
    measure(folder, by_width)
    summary = write_report(folder, [])
    assert Summary.model_validate_json((folder / "summary.json").read_bytes()) == summary
    assert (summary.finished, failed(folder), len(sweep_table("alpha"))) == (6, [], 6)
    assert {file.name for file in folder.iterdir()} == REPORT


def test_the_summary_comes_last_and_a_report_that_was_cut_short_is_none(swept, monkeypatch):
    import os

    order, move = [], os.replace

    def full(source, target):
        order.append(target.name)
        if target.name == "summary.json":
            raise OSError(28, "No space left on device")
        move(source, target)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", full)
        with pytest.raises(OSError, match="No space"):
            write_report(swept, [])
    assert set(order) == REPORT - {"plan.json"}
    assert {file.name for file in swept.iterdir()} == REPORT - {"summary.json"}
    with pytest.raises(ValueError, match="no sweep of alpha is finished"):
        sweep_table("alpha")


def test_the_summary_adds_up_cost(swept):
    summary = write_report(swept, [])
    assert (summary.wall_s, summary.cpu_s, summary.peak_rss_mb) == (6 * 61.5, 600.0, 2048.0)


def test_without_a_finished_run_there_is_a_table_without_rows_and_no_figure_not_even_an_old_one(outputs):
    folder = plan(outputs, AXES)
    (folder / "figure.png").write_bytes(b"old")
    summary = write_report(folder, [])
    assert (summary.finished, summary.missing, summary.caption) == (0, 6, None)
    assert summary.note == "No run finished, so there is no figure."
    assert {file.name for file in folder.iterdir()} == REPORT - {"figure.png", "figure.svg"}
    frame = sweep_table("alpha")
    assert len(frame) == 0
    assert {"run.id", "seed", "width"} <= set(frame.columns)


def test_runs_without_a_number_give_no_figure_and_that_is_said(swept):
    for run in range(6):
        patch(swept.parents[1] / f"r00{run}" / "results.json", metrics={}, claims=[])
    assert write_report(swept, []).note == "No run recorded a metric, so there is no figure."


# Claims


def test_verdicts_are_counted_per_claim_with_wilsons_interval(outputs):
    never = replace(CLAIM, key="never", min_n=50)
    folder = plan(outputs, AXES)
    measure(folder, lambda p: [1.0, 1.0, 1.0] if p["seed"] else [-1.0, -1.0, -1.0], claims=(CLAIM, never))
    claims = write_report(folder, []).claims
    assert (claims["gap"].held, claims["gap"].not_held, claims["gap"].not_tested) == (4, 2, 0)
    z, n, p = 1.959963984540054, 6, 4 / 6
    middle, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    assert (claims["gap"].low, claims["gap"].high) == pytest.approx((middle - half, middle + half))
    assert (claims["never"].not_tested, claims["never"].low, claims["never"].high) == (6, None, None)


@pytest.mark.parametrize(
    ("verdicts", "low", "high"),
    [
        ([HELD] * 10, 0.72246, 1.0),  # n / (n + z^2)
        ([MISSED] * 10, 0.0, 0.27754),
        ([HELD, MISSED], 0.09453, 0.90547),
        ([HELD, MISSED, *[OPEN] * 50], 0.09453, 0.90547),  # who did not test tells nothing
    ],
)
def test_wilsons_interval_at_known_counts(verdicts, low, high):
    assert (tally(verdicts).low, tally(verdicts).high) == pytest.approx((low, high), abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200), st.integers(0, 200))
def test_the_share_lies_in_its_interval_and_the_interval_in_zero_to_one(held, missed):
    found = tally([HELD] * held + [MISSED] * missed)
    if found.tested:
        assert -1e-9 <= found.low <= held / found.tested + 1e-9
        assert held / found.tested - 1e-9 <= found.high <= 1 + 1e-9
    else:
        assert found.low is found.high is None


# The figure


def panels(frame):
    """Panels by title, and the caption."""
    figure, caption = draw(frame)
    return {" ".join(axes.get_title("left").split()): axes for axes in figure.get_axes()}, caption


def test_figure_files_are_pictures(swept):
    summary = write_report(swept, [])
    with Image.open(swept / "figure.png") as image:
        image.load()
        assert image.width >= 900
        assert len(set(image.convert("L").resize((40, 40)).tobytes())) > 5
    assert xml.parse(swept / "figure.svg").getroot().tag.endswith("svg")
    assert "6 of 6 runs finished" in summary.caption


def test_a_point_is_the_mean_over_seeds_with_its_student_t_interval(outputs):
    frame = table(outputs, AXES)
    axes = panels(frame)[0]["gap (headline)"]
    (bars,) = axes.containers
    line, _, (segments,) = bars
    expected = [Metric.of([width + seed for seed in range(3)]) for width in (16.0, 64.0)]
    assert list(line.get_xdata()) == [16, 64]
    assert list(line.get_ydata()) == [metric.mean for metric in expected]
    ends = [(low[1], high[1]) for low, high in segments.get_segments()]
    assert np.array(ends) == pytest.approx(np.array([(metric.low, metric.high) for metric in expected]))
    assert axes.get_ylabel() == "points"
    assert axes.get_xlabel() == "width"


def test_the_caption_says_what_was_run_and_how_many_stand_behind_a_point(outputs):
    frame = table(outputs, AXES, only={"r000", "r001", "r002", "r004"})
    caption = panels(frame)[1]
    assert "seed 0, 1, 2; width 16, 64; 4 of 6 runs finished" in caption
    assert "mean of n = 1 to 3 seeds" in caption


@pytest.mark.parametrize(
    "axes",
    [
        AXES, {"seed": [0, 1, 2]}, {"seed": [0]}, {"width": [1, 10, 100]}, {"width": [64, 16], "seed": [0, 1]},
        {"net": ["mlp", "convnet"], "seed": [0, 1], "shared": [True, False]}, {"held_out": [["noise"], ["shift", "blur"]]},
        {"seed": [0, 1], "a": [0.1, 0.2], "b": [1, 2], "c": ["x", "y"], "d": [1, 2]}, {"width": list(range(1, 41))},
        {"seed": [0, 1], "width": [16]}, {"name": ["a rather long name", "another long name", "n"], "x": [-1, 0, 1]},
    ],
    ids=axes_in_words,
)  # fmt: skip
def test_every_grid_can_be_drawn_and_every_number_lies_within_its_panel(outputs, axes):
    frame = table(outputs, axes, lambda p: [len(str(p)) + p.get("seed", 0) + d for d in (0, 0.5, 1)])
    figure, _ = draw(frame)
    figure.draw_without_rendering()
    drawn = figure.get_axes()[0]
    lines = [line for line in drawn.get_lines() if line.get_marker() in MARKERS]  # not the line at zero, not ends of intervals
    assert set(frame["metric.gap"]) <= {y for line in lines for y in line.get_ydata()}
    spots = np.concatenate([line.get_transform().transform(line.get_xydata()) for line in lines])
    assert (drawn.bbox.min < spots).all()
    assert (spots < drawn.bbox.max).all()


def test_a_line_none_of_whose_runs_finished_stays_in_the_legend(outputs):
    axes = {"width": [16, 64], "net": ["mlp", "convnet"], "seed": [0, 1]}
    frame = table(outputs, axes, only={"r000", "r001", "r004", "r005"})
    figure, caption = draw(frame)
    figure.draw_without_rendering()
    (legend,) = [legend for part in figure.subfigs for legend in part.legends]
    assert [text.get_text() for text in legend.get_texts()] == ["mlp", "convnet"]
    assert "4 of 8 runs finished. Each point: mean of n = 2 seeds" in caption


def test_the_first_axis_that_varies_lies_on_x_others_are_lines_the_seed_is_neither(outputs):
    view = view_of(table(outputs, {"seed": [0, 1], "one": [7], "width": [16, 64], "net": ["b", "a"], "law": ["n"]}))
    assert (view.x, view.series, view.pooled) == ("width", ["net"], [])
    assert [line.name for line in view.lines] == ["b", "a"]
    assert sum(line.rows.sum() for line in view.lines) == 8


def test_beyond_eight_lines_an_axis_is_pooled_and_the_caption_names_it(outputs):
    axes = {"x": [1, 2], "a": [1, 2, 3], "b": [1, 2, 3], "c": [1, 2], "seed": [0, 1]}
    frame = table(outputs, axes, lambda p: [float(p["a"])])
    view = view_of(frame)
    assert (view.series, view.pooled, len(view.lines)) == (["a", "c"], ["b"], 6)
    caption = panels(frame)[1]
    assert "n = 6 runs over seed, b" in caption
    assert "lines: b (3 values); the intervals cover this spread too" in caption


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([16, 32, 64], "log"), ([1e-4, 1e-3, 1e-2], "log"), ([1, 2, 3, 4], "linear"), ([0, 1, 10, 100], "linear"),
        ([1, 1000], "linear"), ([-4, -2, -1], "linear"), ([True, False], "names"), (["a", "b"], "names"), ([[1], [2]], "names"),
    ],
)  # fmt: skip
def test_the_scale_of_an_axis_follows_how_its_values_are_spread(values, scale):
    assert scale_of(values) == scale


def test_panels_are_the_headline_and_first_of_all_one_number_of_every_claim(outputs):
    folder = plan(outputs, {"seed": [0, 1]}, headline="top")
    names = [f"m{number}" for number in range(12)]
    claims = [Claim(f"c{n}", "s", "ours", "c", (names[2 * n], names[2 * n + 1]), lambda m: True, min_n=1) for n in range(6)]
    metrics = {name: Metric.of(1.0) for name in ["other", *names, "top"]}
    measure(folder)
    for run in ("r000", "r001"):
        judged = [claim.judge(metrics) for claim in claims]
        patch(folder.parents[1] / run / "results.json", metrics={n: vars(m) for n, m in metrics.items()}, claims=judged)
    frame = tabled(folder)
    assert chosen_metrics(frame) == ["top", "m0", "m1", "m2", "m4", "m6", "m8", "m10"]
    assert "5 more of the claims' metrics are in the table" in panels(frame)[1]


def test_the_claims_panel_tells_counts_and_marks_what_was_never_tested(outputs):
    never = replace(CLAIM, key="never", min_n=50)
    folder = measure(plan(outputs, AXES), by_width, claims=(CLAIM, never))
    axes = panels(tabled(folder))[0]["Claims, over all runs of the sweep"]
    assert [text.get_text() for text in axes.texts] == ["held in 6 of 6", "not tested in any of 6 runs"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["gap", "never"]


def test_dollars_in_names_are_no_formulas(outputs):
    odd = r"$\no{$"
    folder = measure(plan(outputs, {"x": [odd, "b"], odd: [1, 2], "seed": [0, 1]}, title=odd), claims=(replace(CLAIM, key=odd),))
    figure, caption = draw(tabled(folder))
    figure.draw_without_rendering()
    assert odd in caption


def test_a_range_of_an_axis_is_told_in_short():
    assert axes_in_words({"seed": list(range(16)), "width": [16, 32]}) == "seed 0 to 15 (16 values); width 16, 32"
    assert axes_in_words({"rate": [n / 8 for n in range(8)]}) == "rate 0, 0.125 ... 0.875 (8 values)"
    assert axes_in_words({"on": [True], "parts": [["a", "b"], []]}) == "on true; parts a+b, none"


# The reader


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Two finished sweeps, the first in id the last to finish, and one that is not finished."""
    root = tmp_path_factory.mktemp("outputs")
    for sweep_id, prefix in (("abd000000002", "b"), ("abc000000001", "a")):
        runs = [f"{prefix}{number}" for number in range(6)]
        write_report(measure(plan(root, AXES, sweep_id=sweep_id, runs=runs), by_width), [])
    plan(root, AXES, sweep_id="fff000000003", runs=[f"c{number}" for number in range(6)])
    return root


@pytest.fixture
def two(shelf, monkeypatch):
    """The sweeps' folder, in the outputs of this test; to be read only."""
    monkeypatch.setenv("STUDIES_OUTPUTS", str(shelf))
    return shelf / "alpha" / "sweeps"


def test_a_sweep_is_read_by_id_beginning_or_path_and_the_latest_finished_one_without(two):
    first, second = "abc000000001", "abd000000002"
    asked = {None: first, first: first, "abd": second, str(two / second): second, two / first: first}
    assert {key: sweep_table("alpha", key).attrs["sweep_id"] for key in asked} == asked


@pytest.mark.parametrize(
    ("study", "sweep", "why"),
    [
        ("alpha", "ab", "sweep: got 'ab', but that begins 2 of them; alpha has abc000000001, abd000000002, fff000000003"),
        ("alpha", "9", "sweep: got '9', but there is no such sweep; alpha has abc0"),
        ("alpha", "", "sweep: got '', but there is no such sweep"),
        ("alpha", "fff", "sweep: fff000000003 of alpha is not finished"),
        ("beta", None, "study: got 'beta', which has no sweep; there are sweeps of alpha"),
        ("alpha", "/no/where", "there is no such sweep"),
    ],
)
def test_a_sweep_that_cannot_be_read_is_one_clear_error(two, study, sweep, why):
    with pytest.raises(ValueError, match=why) as error:
        sweep_table(study, sweep)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_sweep_or_of_another_study_is_named(two):
    with pytest.raises(ValueError, match=r"plan\.json: is missing"):
        sweep_table("alpha", two)
    with pytest.raises(ValueError, match=r"study: got 'beta', but .* is a sweep of alpha"):
        sweep_table("beta", two / "abc000000001")


def test_a_damaged_report_is_named_and_not_the_latest(shelf, tmp_path, monkeypatch):
    shutil.copytree(shelf, tmp_path / "outputs")
    monkeypatch.setenv("STUDIES_OUTPUTS", str(tmp_path / "outputs"))
    harmed = tmp_path / "outputs" / "alpha" / "sweeps" / "abc000000001"
    (harmed / "table.parquet").write_bytes(b"no table")
    with pytest.raises(ValueError, match=r"table\.parquet cannot be read"):
        sweep_table("alpha", "abc")
    (harmed / "summary.json").write_text("{")
    assert sweep_table("alpha").attrs["sweep_id"] == "abd000000002"
    with pytest.raises(ValueError, match=r"summary\.json: Invalid JSON"):
        sweep_table("alpha", "abc")


def test_stored_sweeps_that_come_with_the_suite_are_read_wherever_the_outputs_are(outputs):
    assert sweep_table("weight-ensembles", published=True).attrs["sweep_id"] == "9bab6447d78d"
    with pytest.raises(ValueError, match="study: got 'tiny', which has no sweep; there are sweeps of dataset-geodesics, "):
        sweep_table("tiny", published=True)


def test_where_there_is_no_sweep_at_all_that_is_said(outputs):
    with pytest.raises(ValueError, match="there is none at all"):
        sweep_table("alpha")


def test_the_engine_can_import_the_report_without_its_heavy_parts():
    code = (
        "import sys, lib.runs.sweeps.record\n"
        "print(sorted({'pandas', 'matplotlib', 'scipy', 'pyarrow', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_room_shows_one_name():
    import lib.runs.sweeps as room

    assert isinstance(sweep_table, type(pd.read_parquet))
    with pytest.raises(AttributeError, match="no attribute 'tabulate'"):
        _ = room.tabulate


def test_the_claims_are_judged_once_more_over_the_seeds(tmp_path, tiny):
    """At each point of the other axes: the metric's mean over seeds, with n = seeds; where a run lacks it, not tested."""
    frame = pd.DataFrame(
        {
            "seed": [0, 1, 2, 3] * 2 + [0, 1], "n": [5] * 4 + [50] * 4 + [9] * 2,
            "metric.mean": [1.0, 1.2, 1.4, 1.6, 0.1, 0.2, float("nan"), 0.3, 0.0, 0.0],
        }
    )  # fmt: skip
    frame.attrs = {"study": "tiny", "axes": {"n": [5, 50, 9], "seed": [0, 1, 2, 3]}, "units": {"mean": "m"}}
    five, fifty = over_seeds(frame)  # two seeds at n = 9 are too few for an interval
    assert (five.point, five.seeds) == ({"n": 5}, 4)
    verdicts = {claim.key: claim.verdict for claim in five.claims}
    assert verdicts == {"centred": "not held", "large": "held", "many": "not tested at this size"}
    measured = five.claims[0].evidence["mean"]
    assert (measured.n, measured.unit) == (4, "m")
    assert measured.mean == pytest.approx(1.3)
    half = 3.182446 * math.sqrt(0.2 / 3 / 4)  # Student's t, s = sqrt(0.2 / 3), n = 4
    assert (measured.low, measured.high) == (pytest.approx(1.3 - half), pytest.approx(1.3 + half))
    assert {claim.verdict for claim in fifty.claims} == {"not tested at this size"}
    frame.attrs["study"] = "gone"
    assert over_seeds(frame) == []
