"""Measured curves and their charts: what is refused, what is nearest, and that every picture is a sound one."""

import itertools
import math
import xml.etree.ElementTree as ET

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.explorers.soft_labels_curves import Nearest, Point, away, curves, nearest
from lib.explorers.soft_labels_panel import LEFT, LOWER, RIGHT, UPPER, Panel, said, span, ticks

PERCENT = st.floats(0, 100)
POINTS = st.lists(PERCENT, min_size=1, max_size=8).map(
    lambda values: [Point(i, value, value, value) for i, value in enumerate(values)]
)


def frame(rows, keys):
    """Rows of key values and an accuracy, with an interval of two points either way."""
    table = pd.DataFrame(rows, columns=[*keys, "accuracy"])
    return table.assign(low=table["accuracy"] - 2, high=table["accuracy"] + 2)


def test_curves_ascend_and_are_found_by_their_keys():
    found = curves("students", frame([[5, 2, 1.0, 70.0], [1, 2, 1.0, 50.0], [1, 4, 2.0, 60.0]], ["ipc", "epoch", "temperature"]),
                   ["epoch", "temperature"], "ipc", 10)  # fmt: skip
    assert found == {(2, 1.0): (Point(1, 50, 48, 52), Point(5, 70, 68, 72)), (4, 2.0): (Point(1, 60, 58, 62),)}
    assert list(curves("swap", frame([[1, 0, 50.0]], ["ipc", "k"]), ["ipc"], "k", 10)) == [1]
    assert curves("top", None, ["ipc"], "k", 10) == {}


def test_one_draw_has_numbers_and_no_interval():
    table = frame([[1, 0, 50.0], [1, 3, 40.0]], ["ipc", "k"]).assign(low=math.nan, high=math.nan)
    first, second = curves("swap", table, ["ipc"], "k", 10)[1]
    assert [first.known, second.known] == [False, False]
    assert (first.accuracy, first.ends, said(second)) == (50, (50, 50), "40.0 %")
    assert said(Point(1, 50, 48, 52)) == "50.0 % (48.0 to 52.0)"
    assert span([first, second]) == (40, 50)


def test_arms_stay_in_their_order():
    rows = [[3, "no label", 5.0], [3, "control", 60.0], [3, "hard", 0.0]]
    (curve,) = curves("zero", frame(rows, ["subject", "arm"]), ["subject"], "arm", 10).values()
    assert [point.at for point in curve] == ["no label", "control", "hard"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="k"), r"swap: got 2 rows of .* allowed are one or more rows of \['ipc', 'k', 'accuracy'"),
        (lambda t: t.iloc[:0], "swap: got 0 rows"),
        (lambda t: t.assign(accuracy=101.0, high=200.0), "swap: got accuracies 101 to 101, allowed are 0 to 100"),
        (lambda t: t.assign(accuracy=-1.0), "swap: got accuracies -1"),
        (lambda t: t.assign(accuracy=math.nan), "swap: got accuracies nan"),
        (lambda t: t.assign(low=math.nan), "swap: got an accuracy outside its interval"),
        (lambda t: t.assign(high=math.inf), "swap: got an accuracy outside its interval"),
        (lambda t: t.assign(low=99.0), "swap: got an accuracy outside its interval"),
        (lambda t: t.assign(k=3), r"swap: got two rows of \{'ipc': 1, 'k': 3\}, allowed is one"),
        (lambda t: t.assign(k=[0, 11]), "swap: got k 11, allowed are 0 to 10"),
        (lambda t: t.assign(k=[0, -1]), "swap: got k -1"),
        (lambda t: t.assign(ipc=0), "swap: got ipc 0, allowed are 1 to inf"),
        (lambda t: t.assign(ipc=math.nan), "swap: got ipc nan"),
    ],
)
def test_frames_that_cannot_be_are_refused(change, words):
    good = frame([[1, 0, 50.0], [1, 3, 40.0]], ["ipc", "k"])
    with pytest.raises(ValueError, match=words):
        curves("swap", change(good), ["ipc"], "k", 10)


@pytest.mark.parametrize(
    ("keys", "row", "words"),
    [
        (["epoch", "temperature"], [-1, 1.0], "epoch -1"),
        (["epoch", "temperature"], [1, 0.0], "temperature 0"),
        (["subject", "epoch"], [10, 1], "subject 10, allowed are 0 to 9"),
    ],
)
def test_keys_that_cannot_be_are_refused(keys, row, words):
    with pytest.raises(ValueError, match=words):
        curves("students", frame([[*row, 1, 50.0]], [*keys, "ipc"]), keys, "ipc", 10)


@given(a=st.integers(0, 500), b=st.integers(0, 500), c=st.integers(0, 500))
def test_away_is_a_distance(a, b, c):
    assert away(a, b) == away(b, a) >= 0
    assert (away(a, b) == 0) == (a == b)
    assert away(a, c) <= away(a, b) + away(b, c) + 1e-12


def test_nearest_is_measured_and_says_whether_it_is_what_was_asked_for():
    found = {1: (Point(1, 10, 10, 10),), 4: (Point(1, 20, 20, 20),), 40: (Point(1, 30, 30, 30),)}
    for wanted, key in ((4, 4), (0, 1), (6, 4), (30, 40), (100, 40)):
        assert nearest(found, wanted, lambda key, wanted=wanted: away(key, wanted)) == Nearest(key, found[key], key == wanted)
    assert nearest({}, 1, abs) is None
    curve = Nearest(1, tuple(Point(k, k, k, k) for k in (0, 1, 5, 9)), True)
    assert [curve.at(k).at for k in (0, 1, 2, 4, 6, 8, 10)] == [0, 1, 1, 5, 5, 9, 9]


@given(points=POINTS, more=st.lists(PERCENT, max_size=3))
def test_a_span_holds_everything(points, more):
    low, high = span(points, more)
    assert 0 <= low < high <= 100
    assert low % 10 == high % 10 == 0
    assert all(low <= value <= high for value in [*more, *(point.accuracy for point in points)])
    marks = ticks(low, high)
    assert low == marks[0] < marks[-1] <= high
    assert 2 <= len(marks) <= 7


@given(points=POINTS)
def test_a_panel_keeps_order_and_stays_in_its_field(points):
    n = len(points)
    panel = Panel("a", "b", [str(i) for i in range(n)], [i / max(n - 1, 1) for i in range(n)], span(points))
    x, y = [panel.x(i) for i in range(n)], [panel.y(point.accuracy) for point in points]
    assert x == sorted(set(x))
    assert LEFT < x[0] <= x[-1] < RIGHT
    assert all(UPPER <= value <= LOWER for value in y)
    by_accuracy = sorted(range(n), key=lambda i: points[i].accuracy)
    assert [y[i] for i in by_accuracy] == sorted(y, reverse=True)
    if n > 1:
        assert x[0] < panel.x(0.5) < x[1], "between two places"


def test_names_of_places_do_not_run_into_each_other():
    names = [str(2**i) for i in range(12)]
    panel = Panel("a", "b", names, [i / 11 for i in range(12)], (0, 100))
    shown = [each for each in ET.fromstring(panel.svg("c")).iter("text") if each.get("text-anchor") == "middle"]
    ends = [(float(each.get("x")), 3.5 * len(each.text)) for each in shown]
    assert len(shown) >= 8
    assert all(x + half < y - other for (x, half), (y, other) in itertools.pairwise(ends))


def test_words_cannot_break_a_picture():
    panel = Panel("<b>", "a & b", ['"'], [0.0], (0, 100))
    panel.curve([0], [Point("<", 50, 40, 60)], "#000", "'&'")
    panel.level(50, "#000", "</svg>")
    panel.choices("k", [3])
    tree = ET.fromstring(panel.svg('<">'))
    assert tree.get("aria-label") == '<">'
    assert "</svg>" in [each.text for each in tree.iter("text")]
    assert [(each.get("data-field"), each.get("data-value")) for each in tree.iter("rect")] == [("k", "3")]
