"""Figures beside other numbers: a stored sweep over numbers of classes, and the paper's table."""

import numpy as np
import pandas as pd

from lib.distillation.drawing_beside import draw_classes, gains_by_classes
from lib.runs.sweeps import sweep_table


def sweep(**columns):
    """Two tasks with two seeds each, as a sweep's table has them."""
    found = {"task": ["pairs", "pairs", "pairs-4", "pairs-4"], "seed": [0, 1, 0, 1]}
    found |= {
        "metric.accuracy/hard": [10.0, 12, 60, 70],
        "metric.accuracy/soft": [30.0, 32, 70, 75],
        "metric.accuracy/full": [50.0] * 2 + [100] * 2,
    }
    return pd.DataFrame(found | columns)


def test_gains_are_points_and_shares_of_what_was_left():
    table = gains_by_classes(sweep())
    assert table["classes"].tolist() == [4, 4, 100, 100]
    np.testing.assert_allclose(table["gain"], [10, 5, 20, 20])
    np.testing.assert_allclose(table["share"], [25, 100 * 5 / 30, 50, 100 * 20 / 38])


def test_the_figure_shows_every_run_and_the_means():
    left, middle, right = draw_classes(sweep()).axes
    np.testing.assert_allclose(sorted(middle.lines[0].get_ydata()), [5, 10, 20, 20])
    np.testing.assert_allclose(middle.lines[1].get_ydata(), [7.5, 20])
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["hard", "soft"]
    assert right.get_xlabel() == "classes"


def test_the_stored_sweep_has_what_the_notebook_draws():
    table = gains_by_classes(sweep_table("soft-labels", published=True))
    assert sorted(table["classes"].unique()) == [4, 9, 25, 100]
    assert table.groupby("classes").size().tolist() == [3, 3, 3, 3]
    np.testing.assert_allclose(table["gain"], table["soft"] - table["hard"])
