"""The figures: what they show is what was measured."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from lib.figures import use_style
from lib.language import curves, curves_of_mixes, drawing, drawing_maps
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
    (chord,) = [each for each in fig.axes[2].lines if each.get_label() == "straight line"]
    np.testing.assert_allclose([chord.get_xy1(), chord.get_xy2()], [(0, 0), (1, 1)], atol=1e-9)
    np.testing.assert_allclose(drawn(fig.axes[0], "judge: ngram")[1], SETUP.path, atol=1e-9)


def test_no_interval_of_the_margin_is_cut_off(outcome, line):
    wide = line.assign(high=line["high"] + 5 * (line["attribute"] == B))
    fig = drawing.draw_sliders(wide, curves.base_table(outcome, SETUP, SEEDS))
    rows = wide[wide["quantity"] == "margin"]
    for ax in fig.axes[2:]:
        low, high = ax.get_ylim()
        assert low < rows["low"].min()
        assert high > rows["high"].max()


def test_regions_are_those_of_the_paper():
    _, ax = plt.subplots()
    drawing.shade(ax, [-2.0, 3.0])
    edges = sorted({round(edge, 2) for patch in ax.patches for edge in (patch.get_x(), patch.get_x() + patch.get_width())})
    assert edges[1:-1] == [-1.0, 0.0, 1.0, 2.0]


def test_the_legend_names_the_regions_that_are_drawn(outcome, line):
    words = [text.get_text() for text in drawing.draw_sides(line).legends[0].get_texts()]
    assert words == ["positive texts", "negative texts", "between the anchors", "stable extrapolation (paper)"]
    fig = drawing.draw_sliders(line, curves.base_table(outcome, SETUP, SEEDS))
    assert "beyond" in [text.get_text() for text in fig.legends[0].get_texts()]


def test_sides_are_changes_where_extrapolation_is_stable(line):
    fig = drawing.draw_sides(line)
    x, y = drawn(fig.axes[0], "negative texts")
    np.testing.assert_allclose(x, [-1, 0, 0.5, 1, 1.5])
    np.testing.assert_allclose(y, x, atol=1e-9)
    np.testing.assert_allclose(drawn(fig.axes[0], "positive texts")[1], 0, atol=1e-9)


def test_wide_intervals_do_not_flatten_the_sides(line):
    narrow = drawing.draw_sides(line).axes[0].get_ylim()
    far = line["alpha"] == -1
    fig = drawing.draw_sides(line.assign(low=line["low"] - 50 * far, high=line["high"] + 50 * far))
    assert np.ptp(fig.axes[0].get_ylim()) < 2 * np.ptp(narrow)


def test_prose_and_what_is_written(outcome, line):
    fluency = curves.fluency_table(outcome, SETUP, SEEDS)
    fig = drawing.draw_language(line, fluency, 2.0)
    np.testing.assert_allclose(drawn(fig.axes[0], A)[1], [2 + abs(alpha) for alpha in SETUP.path])
    for ax, quantity in zip(fig.axes[1:], ("written", "repetition"), strict=True):
        own = fluency[fluency["quantity"] == quantity]
        mine, alone = own["attribute"] == B, own["alpha"].isna()
        np.testing.assert_allclose(drawn(ax, B)[1], own.loc[mine & ~alone, "value"])
        levels = [each.get_ydata()[0] for each in ax.lines if each.get_linestyle() == ":"]
        np.testing.assert_allclose(levels, own.loc[alone, "value"])


def test_controls_lambdas_and_turns(outcome):
    table = curves_of_mixes.control_table(outcome, SETUP, SEEDS)
    fig = drawing.draw_controls(table, A)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == [
        *(words for words, *_ in drawing.CONTROLS.values()), "without anchors", "its 95 % interval",
    ]  # fmt: skip
    starts = [drawn(fig.axes[0], words)[0][0] for words, *_ in drawing.CONTROLS.values()]
    assert len(set(starts)) == len(starts)
    np.testing.assert_allclose(drawn(fig.axes[0], "without anchors")[1], table.loc[table["control"] == "base", "value"].item())
    fig = drawing.draw_lambdas(curves_of_mixes.lambda_table(outcome, SETUP, SEEDS))
    assert [ax.get_xlabel() for ax in fig.axes] == [f"lambda of {A}", f"lambda of {B}"]
    np.testing.assert_allclose(drawn(fig.axes[0], A)[0], SETUP.lambdas)
    fig = drawing.draw_turn(curves.turn_table(outcome, SETUP, SEEDS), A)
    np.testing.assert_allclose(drawn(fig.axes[0], "first half written at alpha 0")[1], [0.0, 0.6])


def entangled(**one):
    """A table of two sliders, the entry of the first at the second attribute as given."""
    rows = [
        {"by": "margin", "moved": i, "read": j, "value": float(i == j), "low": 0.5, "high": 1.5} for i in (A, B) for j in (A, B)
    ]
    rows[1] |= {"low": 0.05, "high": 0.2, "value": 0.1} | one
    return pd.DataFrame(rows)


def cell(**one):
    """The words of that entry, their colour and the cell's own."""
    ax = drawing_maps.draw_entanglement(entangled(**one)).axes[0]
    words = [text for text in ax.texts if text.get_position()[0] == 1 and text.get_position()[1] < 0.5]
    return [text.get_text() for text in words], words[0].get_color(), ax.images[0].get_array()[0, 1]


def test_an_entry_is_as_strong_as_it_is_sure():
    words, colour, sure = cell()
    assert (words, colour) == (["0.10", "[0.05, 0.20]"], "black")
    words, colour, unsure = cell(low=-0.25)
    assert (words, colour) == (["0.10", "[\N{MINUS SIGN}0.25, 0.20]"], drawing_maps.GREY)
    assert unsure.sum() > sure.sum()  # nearer to white
    words, colour, unknown = cell(value=np.nan, low=np.nan, high=np.nan)
    assert (words, colour) == (["undefined"], drawing_maps.GREY)
    assert np.ptp(unknown) < 0.05  # grey


def test_no_zero_has_a_minus_sign():
    assert cell(value=-0.001, low=-0.004, high=0.004)[0] == ["0.00", "[0.00, 0.00]"]


def test_cosines_of_updates_and_of_directions(outcome):
    fig = drawing_maps.draw_cosines(study_gram(outcome, SETUP))
    updates, directions = ([text.get_text() for text in ax.texts] for ax in fig.axes)
    assert updates[:4] == ["1.00", "\N{MINUS SIGN}0.60", "0.20", "0.20"]
    assert directions == ["1.000", "0.000", "0.000", "1.000"]


def test_the_map_names_all_anchors_and_says_how_good_it_is(outcome):
    points, found = curves.map_of(outcome, SETUP)
    fig = drawing_maps.draw_paths(points, found)
    assert {text.get_text() for text in fig.axes[0].texts} == {f"{name} {sign}" for name in (A, B) for sign in "+-"} | {"base"}
    assert f"stress {found.stress:.2f}" in fig.axes[0].get_title("left")
    words = [text.get_text() for text in fig.legends[0].get_texts()]
    assert words == ["anchor", "mix", "between two anchors", "beyond them, to alpha \N{MINUS SIGN}1 and 1.5"]


@pytest.mark.parametrize(("angles", "free"), [([0, 90, 180], 270), ([10, 100], 235), ([-170, 170, 10], 280)])
def test_the_name_of_the_base_stands_where_no_point_is(angles, free):
    way = drawing_maps._free_way(np.array([[0, 0], *([np.cos(np.radians(a)), np.sin(np.radians(a))] for a in angles)]))
    np.testing.assert_allclose(np.degrees(np.arctan2(way[1], way[0])) % 360, free)


def test_the_tie_is_shown_by_its_difference(outcome):
    table = curves_of_mixes.tied_table(outcome, SETUP, SEEDS)
    fig = drawing_maps.draw_tied(table)
    for ax, quantity in zip(fig.axes, ("share", "cosine"), strict=True):
        own = table[table["quantity"] == quantity].set_index("group")["value"]
        dots = {round(line.get_xdata()[0]): line.get_ydata()[0] for line in ax.lines if len(line.get_xdata()) == 1}
        assert dots == pytest.approx({0: own["apart"], 1: own["tied"], 2: own["difference"]})
        assert ax.get_ylabel()


def simplex(names, steps):
    """Mixes of which each attribute reads its own lambda."""
    places = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    mixes = [dict(zip(names, (part / steps for part in place), strict=True)) for place in places]
    return pd.DataFrame([{**mix, "read": name, "value": mix[name]} for mix in mixes for name in names])


@pytest.mark.parametrize(("steps", "numbers"), [(2, 6), (4, 15), (5, 0)])
def test_a_triangle_is_as_bright_as_it_is_near_the_corner_that_is_read(steps, numbers):
    names = (A, B, "archaic")
    fig = drawing_maps.draw_simplex(simplex(names, steps), names)
    for k, ax in enumerate(fig.axes[:3]):
        texts = [text.get_text() for text in ax.texts]
        assert len(texts) == numbers + 3
        assert texts[-3:] == list(names)
        (mesh,) = ax.collections
        corners = mesh._triangulation
        brightest = np.argmax(mesh.get_array())
        np.testing.assert_allclose([corners.x[brightest], corners.y[brightest]], drawing_maps.CORNERS[k])
        assert len(corners.get_masked_triangles()) == steps**2


def test_what_is_undefined_is_said_to_be(outcome):
    names = (A, B, "archaic")
    table = simplex(names, 2)
    fig = drawing_maps.draw_simplex(table.assign(value=table["value"].where(table["read"] != B)), names)
    said = [["undefined" in text.get_text() for text in ax.texts].count(True) for ax in fig.axes[:3]]
    assert said == [0, 1, 0]
    table = curves_of_mixes.lambda_table(outcome, SETUP, SEEDS)
    hole = table["attribute"] == A
    fig = drawing.draw_lambdas(table.assign(**{end: table[end].mask(hole) for end in ("value", "low", "high")}))
    assert [len(ax.texts) for ax in fig.axes] == [1, 0]


def test_a_triangle_has_three_corners():
    with pytest.raises(ValueError, match=f"attributes: got {A}, {B}, allowed are three"):
        drawing_maps.draw_simplex(simplex((A, B, "archaic"), 2), (A, B))


def tokens(*ends):
    """Tokens whose probability falls from 0.9 to these."""
    return pd.DataFrame(
        [
            {"alpha": alpha, "token": f" word{i}", "id": i, "probability": end if alpha else 0.9}
            for alpha in (0.0, 1.0)
            for i, end in enumerate(ends)
        ]
    )


def test_tokens_are_shown_as_text():
    table = tokens(0.1, 0.2)
    fig = drawing.draw_tokens(table.assign(token=table["id"].map({0: " $", 1: "\n"})), "The king", A)
    fig.canvas.draw()
    assert {text.get_text() for text in fig.axes[0].texts} == {r"\$", r"\n"}


def test_names_of_tokens_do_not_lie_on_each_other():
    fig = drawing.draw_tokens(tokens(0.1, 0.1, 0.11, 0.1, 0.001), "The king", A)
    fig.canvas.draw()
    boxes = [text.get_window_extent() for text in fig.axes[0].texts]
    assert len(boxes) == 5
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert all(box.x1 < fig.bbox.x1 and box.y1 < fig.bbox.y1 for box in boxes)


@pytest.mark.parametrize(
    ("heights", "spread"), [([0.5, 0.1], [0.5, 0.1]), ([0.5, 0.5], [0.45, 0.55]), ([0.3, 0.2, 0.9], [0.3, 0.2, 0.9])]
)
def test_names_move_no_farther_than_they_must(heights, spread):
    np.testing.assert_allclose(drawing._spread(np.array(heights), 0.1), spread)


def figures(outcome, line):
    names = (A, B, "archaic")
    return [
        drawing.draw_sliders(line, curves.base_table(outcome, SETUP, SEEDS)),
        drawing.draw_sides(line),
        drawing.draw_language(line, curves.fluency_table(outcome, SETUP, SEEDS), 2.0),
        drawing.draw_controls(curves_of_mixes.control_table(outcome, SETUP, SEEDS), A),
        drawing.draw_lambdas(curves_of_mixes.lambda_table(outcome, SETUP, SEEDS)),
        drawing.draw_turn(curves.turn_table(outcome, SETUP, SEEDS), A),
        drawing_maps.draw_entanglement(curves_of_mixes.entanglement_table(outcome, SETUP, SEEDS)),
        drawing_maps.draw_cosines(study_gram(outcome, SETUP)),
        drawing_maps.draw_paths(*curves.map_of(outcome, SETUP)),
        drawing_maps.draw_tied(curves_of_mixes.tied_table(outcome, SETUP, SEEDS)),
        drawing_maps.draw_simplex(simplex(names, 2), names),
    ]


def test_all_words_are_on_the_page(outcome, line):
    for fig in figures(outcome, line):
        fig.canvas.draw()
        page, edge = fig.get_tightbbox().transformed(fig.dpi_scale_trans), 0.1 * fig.dpi
        assert min(page.x0, page.y0, fig.bbox.x1 - page.x1, fig.bbox.y1 - page.y1) > -edge
