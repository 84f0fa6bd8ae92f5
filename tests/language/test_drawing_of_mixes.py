"""The figures: what they show is what was measured."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lib.figures import use_style
from lib.language import curves, drawing, drawing_maps, measures
from lib.language.measures_of_anchors import study_gram
from lib.seeds import Seeds
from tests.language.mixes import A, B, outcome_of, setup_of

SEEDS = Seeds(1).child("drawing")
SETUP = setup_of()


@pytest.fixture(scope="module")
def outcome():
    def margin(point, name, repeat):
        return point.value if point.attribute == name else 0.1 * point.value

    return outcome_of(SETUP, margin, margin, lambda point, repeat: 2 + abs(point.value), spread=0.1)


@pytest.fixture(scope="module")
def line(outcome):
    return curves.curve_table(outcome, SETUP, SEEDS)


@pytest.fixture(autouse=True)
def styled():
    """As in a notebook, whatever other tests left behind."""
    with plt.rc_context():
        use_style()
        yield
    plt.close("all")


def drawn(ax, label):
    (found,) = [each for each in ax.lines if each.get_label() == label]
    return found.get_xdata(), found.get_ydata()


def test_sliders_show_scores_and_margins(outcome, line):
    fig = drawing.draw_sliders(line, curves.base_table(outcome, SETUP, SEEDS))
    assert [ax.get_title("left") for ax in fig.axes[:2]] == [A, B]
    x, y = drawn(fig.axes[2], "margin of unseen texts")
    np.testing.assert_allclose(x, SETUP.path)
    np.testing.assert_allclose(y, SETUP.path, atol=1e-9)
    np.testing.assert_allclose(drawn(fig.axes[2], "straight line")[1], [SETUP.path[0], SETUP.path[-1]], atol=1e-9)
    np.testing.assert_allclose(drawn(fig.axes[0], "judge: ngram")[1], SETUP.path, atol=1e-9)


def test_regions_are_those_of_the_paper():
    _, ax = plt.subplots()
    drawing.shade(ax, [-2.0, 3.0])
    edges = sorted({round(edge, 2) for patch in ax.patches for edge in (patch.get_x(), patch.get_x() + patch.get_width())})
    assert edges[1:-1] == [-1.0, 0.0, 1.0, 2.0]


def test_prose_controls_lambdas_turns_and_sides(outcome, line):
    fig = drawing.draw_language(line, curves.fluency_table(outcome, SETUP), 2.0)
    np.testing.assert_allclose(drawn(fig.axes[0], A)[1], [2 + abs(alpha) for alpha in SETUP.path])
    fig = drawing.draw_controls(curves.control_table(outcome, SETUP, SEEDS), A)
    assert {label.get_text() for label in fig.legends[0].get_texts()} == {words for words, *_ in drawing.CONTROLS.values()}
    fig = drawing.draw_lambdas(curves.lambda_table(outcome, SETUP, SEEDS))
    assert fig.axes[0].get_xlabel().startswith("lambda")
    fig = drawing.draw_turn(curves.turn_table(outcome, SETUP, SEEDS), A)
    np.testing.assert_allclose(drawn(fig.axes[0], "first half written at alpha 0")[1], [0.0, 0.6])
    fig = drawing.draw_sides(line)
    assert len(fig.axes) == 2


def test_maps_heat_and_bars(outcome):
    table = curves.entanglement_table(outcome, SETUP, SEEDS)
    fig = drawing_maps.draw_entanglement(table)
    assert [text.get_text() for text in fig.axes[0].texts] == ["1.00", "0.10", "0.10", "1.00"]
    table.loc[1, ["low", "high"]] = [-0.25, 0.5]
    fig = drawing_maps.draw_entanglement(table)
    assert [text.get_text() for text in fig.axes[0].texts] == ["1.00", "0.10", "[-0.25, 0.50]", "0.10", "1.00"]
    fig = drawing_maps.draw_cosines(study_gram(outcome, SETUP))
    assert len(fig.axes[0].texts) == 16
    fig = drawing_maps.draw_paths(*curves.map_of(outcome, SETUP))
    assert {text.get_text() for text in fig.axes[0].texts} == {f"{name} {sign}" for name in (A, B) for sign in "+-"} | {"base"}
    fig = drawing_maps.draw_tied(measures.measurements(outcome, SETUP, SEEDS))
    assert len(fig.axes) == 2


def test_tokens_are_shown_as_text(outcome):
    rows = [
        {"alpha": a, "token": t, "id": i, "probability": 0.1 + a * i / 10} for a in (0.0, 1.0) for i, t in enumerate((" $", "\n"))
    ]
    fig = drawing.draw_tokens(pd.DataFrame(rows), "The king", A)
    fig.canvas.draw()
    assert {text.get_text() for text in fig.legends[0].get_texts()} == {r"\$", r"\n"}
