"""The explorer as a pure function, its wiring driven through every control, and its fallbacks."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.ensembles import outcome as soup
from lib.ensembles.domains import read_domains
from lib.ensembles.experiment import Setup, build_pool
from lib.explorers import display
from lib.explorers.controls import control
from lib.explorers.weight_ensembles import Explorer
from lib.explorers.weight_ensembles_state import COLOURS, DISTANCES, RULES, State
from lib.explorers.weight_ensembles_still import draw_still
from lib.explorers.weight_ensembles_widget import DistanceExplorer, readout_html, table_html
from lib.seeds import Seeds
from lib.studies import find

SEEDS = Seeds(7).child("explorer")
SCHEMA = find("weight-ensembles").study.params.model_fields


@pytest.fixture(scope="module")
def outcomes():
    params = find("weight-ensembles").size_params("test").model_dump() | {"n_models": 6, "steps": 100, "pretrain_steps": 150}
    setup = Setup.of(params)
    domains = read_domains("digits", setup.domains, SEEDS, torch.device("cpu"))
    pools = {held_out: build_pool(setup, domains, held_out, SEEDS.child(held_out)) for held_out in ("noise", "shift")}
    return {name: soup.run_rules(pool, 0, name, SEEDS) for name, pool in pools.items()}


@pytest.fixture
def explorer(outcomes):
    return Explorer(outcomes, SEEDS)


@pytest.fixture
def widget(explorer):
    return DistanceExplorer(explorer, SCHEMA)


START = State(held_out="noise")


def drawn(widget):
    """Everything that the figure shows, as plain values."""
    return {t.name: (np.asarray(t.x, dtype=float).tolist(), np.asarray(t.y, dtype=float).tolist()) for t in widget.figure.data}


def test_frame_is_a_function_of_the_state(explorer, outcomes):
    one, other = explorer.frame(START), Explorer(outcomes, SEEDS).frame(START)
    assert np.array_equal(one.ingredients, other.ingredients)
    assert one.hover == other.hover
    assert table_html(one) == table_html(other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"held_out": "blur"}, "held_out: got 'blur', allowed: noise, shift"),
        ({"distance": "taxicab"}, "distance: got 'taxicab', allowed: d_D"),
        ({"colour_by": "mood"}, "colour_by: got 'mood'"),
        ({"rules": ("greediest",)}, "rules: got 'greediest', allowed: uniform"),
        ({"step": -1}, "step: got -1"),
        ({"manual": (1, 1)}, "members: model 1 is given more than once"),
        ({"manual": (99,)}, "members: got 99"),
        ({"embedding": "globe"}, "method: got 'globe', allowed are metric"),
        ({"accept": "eq"}, "accept: got 'eq'"),
    ],
)
def test_impossible_states_are_refused_by_name(explorer, changes, words):
    with pytest.raises(ValueError, match=words):
        explorer.frame(replace(START, **changes))


def test_no_outcome_no_explorer():
    with pytest.raises(ValueError, match="outcomes: got none"):
        Explorer({}, SEEDS)


def test_a_step_moves_nothing_but_what_the_step_decides(explorer):
    frames = [explorer.frame(replace(START, step=step)) for step in range(explorer.n_steps(START) + 1)]
    for frame in frames:
        assert np.array_equal(frame.ingredients, frames[0].ingredients)
        assert np.array_equal(frame.soups, frames[0].soups)
    assert len(explorer.map(START).layouts) == 1
    sizes = [len(path.members) for path in frames[-1].paths]
    assert all(len(path.members) == 1 for path in frames[0].paths)
    assert sizes == [len(explorer.selections(START)[rule].members) for rule in START.rules]
    assert all(path.finished for path in frames[-1].paths)


def test_frame_shows_the_trace_as_recorded(explorer):
    rule = "greedier"
    for step, record in enumerate(explorer.selections(START)[rule].trace):
        (path,) = explorer.frame(replace(START, rules=(rule,), step=step)).paths
        assert path.step == record
        assert len(path.soups) == len(record.members), "the path has one point for every soup so far"


def test_a_soup_has_its_own_place_not_the_mean_of_its_members(explorer):
    state = replace(START, step=10**6)
    frame, shown = explorer.frame(state), explorer.map(state)
    path = max(frame.paths, key=lambda p: len(p.members))
    place = shown.points[tuple(sorted(path.step.members))]
    assert np.array_equal(path.soups[-1], shown.layouts["metric"].points[place])
    assert not np.allclose(path.soups[-1], path.members.mean(0), atol=1e-3)


def test_manual_soup_is_scored_by_the_evaluator_and_placed_without_moving_the_map(explorer, outcomes):
    before = explorer.frame(START)
    frame = explorer.frame(replace(START, manual=(5, 0, 3)))
    assert frame.manual.members == (0, 3, 5)
    for split, score in frame.manual.scores.items():
        assert score == 100 * outcomes["noise"].evaluator.accuracy([(0, 3, 5)], split)[0]
    assert np.array_equal(frame.ingredients, before.ingredients)
    known = explorer.frame(replace(START, manual=(2,)))
    assert np.array_equal(known.manual.point, known.ingredients[2]), "a soup that is on the map already stays there"
    assert known.manual.diversity is None


def test_live_method_changes_the_selection(explorer):
    changes = ({"accept": "gt"}, {"rerank": False}, {"reference": "first"})
    changed = set()
    for change in changes:
        for held_out in ("noise", "shift"):
            here = replace(START, held_out=held_out)
            before, after = explorer.selections(here), explorer.selections(replace(here, **change))
            changed |= {rule for rule in RULES if before[rule].trace != after[rule].trace}
            if "accept" in change:
                bests = [[step.best for step in after[rule].curve] for rule in RULES if rule != "uniform"]
                assert all(a < b for each in bests for a, b in itertools.pairwise(each)), "gt accepts only what is better"
    assert changed & {"ranked-d-far", "ranked-d-near", "ranked-e-far", "ranked-e-near"}


def test_maps_of_other_distances_are_turned_to_lie_like_the_one_before(explorer):
    first = explorer.frame(START)
    second = explorer.frame(replace(START, distance="d_D ratio error, OOD"))

    def misfit(points):
        a, b = (p - p.mean(0) for p in (first.ingredients, points))
        return np.square(a / np.linalg.norm(a) - b / np.linalg.norm(b)).sum()

    assert misfit(second.ingredients) <= min(misfit(second.ingredients * flip) for flip in ([-1, 1], [1, -1], [-1, -1])) + 1e-9


@pytest.mark.parametrize("name", DISTANCES)
def test_every_distance_makes_a_map_that_says_how_far_to_trust_it(explorer, name):
    frame = explorer.frame(replace(START, distance=name, show_start=True))
    assert 0 <= frame.stress < 0.6
    assert "stress" in readout_html(frame)
    assert len(frame.start) == (0 if "cosine" in name else 1), "theta_0 has no direction from itself"


def extremes(control):
    """The values of a control to try: all options, both states, or minimum, middle and maximum."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if isinstance(control.value, bool):
        return [not control.value, control.value]
    return [control.min, (control.min + control.max) // 2, control.max]


def test_every_control_through_all_of_its_values(widget):
    """After every change the figure is that of the state, and all points of it are finite."""
    controls = {**widget.fields, "step": widget.step, **widget.rules, **{f"member {k}": b for k, b in enumerate(widget.members)}}
    for name, box in controls.items():
        for value in extremes(box):
            box.value = value
            expected = widget.explorer.frame(widget.state)
            dots = next(t for t in widget.figure.data if t.name == "ingredients")
            assert np.array_equal(np.asarray(dots.x), expected.ingredients[:, 0]), name
            assert np.isfinite(expected.ingredients).all(), name
            assert np.isfinite(expected.soups).all(), name
            assert widget.readout.value == readout_html(expected), name


def test_first_frame_shows_the_run_s_own_selections(outcomes):
    """A run by another method, and a rule that draws: the explorer must show them, not its own."""
    strict = {k: soup.run_rules(o.pool, 0, k, SEEDS.child("other"), accept="gt", rerank=False) for k, o in outcomes.items()}
    explorer = Explorer(strict, SEEDS, accept="gt", rerank=False)
    assert (explorer.first.accept, explorer.first.rerank) == ("gt", False)
    for name, outcome in strict.items():
        assert explorer.selections(replace(explorer.first, held_out=name)) is outcome.selections
    widget = DistanceExplorer(explorer, SCHEMA)
    assert widget.fields["accept"].value == "gt"
    assert widget.fields["rerank"].value is False


def test_what_cannot_be_drawn_is_named_and_the_explorer_goes_on(widget):
    before = widget.state
    widget._draw(replace(before, distance="taxicab"))
    assert "cannot be shown" in widget.readout.value
    assert "taxicab" in widget.readout.value
    assert widget.state == before
    widget.step.value = 2
    assert widget.state.step == 2
    assert "stress" in widget.readout.value


def test_no_rule_selected_shows_the_ingredients_alone(widget):
    for button in widget.rules.values():
        button.value = False
    frame = widget.explorer.frame(widget.state)
    assert frame.paths == ()
    assert drawn(widget)["members"] == ([], [])
    assert len(drawn(widget)["ingredients"][0]) == 6


def test_step_beyond_the_end_falls_back_when_rules_change(widget):
    widget.step.value = widget.step.max
    for rule, button in widget.rules.items():
        button.value = rule == "uniform"
    assert widget.state.step == 0


def test_clicking_models_picks_and_drops_them(widget):
    dots = next(trace for trace in widget.figure.data if trace.name == "ingredients")
    handler = dots._click_callbacks[0] if hasattr(dots, "_click_callbacks") else None
    assert handler is not None

    class Points:
        point_inds = (1,)

    handler(dots, Points, None)
    assert widget.state.manual == (1,)
    assert widget.members[1].value
    handler(dots, Points, None)
    assert widget.state.manual == ()
    widget.members[2].value = True
    widget.clear.click()
    assert widget.state.manual == ()
    assert not any(button.value for button in widget.members)


def test_controls_offer_what_the_schema_allows():
    assert control("accept", SCHEMA["accept"], "ge").options == ("ge", "gt")
    assert control("rerank", SCHEMA["rerank"], True).value is True
    models = control("n_models", SCHEMA["n_models"], 16)
    assert (models.min, models.max) == (2, 256)
    bag = control("bag", SCHEMA["bag"], 0.3)
    assert (bag.min, bag.max) == (0, 1)
    with pytest.raises(ValueError, match="backbone: a control needs choices or bounds"):
        control("backbone", SCHEMA["backbone"], "x")


def test_colours_are_those_of_the_data(explorer, outcomes):
    for name in COLOURS:
        frame = explorer.frame(replace(START, colour_by=name))
        assert frame.colours.shape == (6,)
    lr = explorer.frame(replace(START, colour_by="lr")).colours
    assert lr.tolist() == outcomes["noise"].pool.table["lr"].tolist()


def test_hover_says_settings_scores_distance_and_entry(explorer):
    text = explorer.frame(replace(START, step=3)).hover[0]
    for word in ("model 0", "accuracy", "lr", "weight_decay", "from its soup", "enter"):
        assert word in text


def test_one_output_holds_the_live_widget_and_its_picture(widget, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    widget.display()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= shown[0].keys()
    assert len(shown[0]["image/png"]) > 10_000


def test_still_picture_draws_every_frame(explorer):
    figure = draw_still([explorer.frame(replace(START, step=step)) for step in (0, 2, 5)])
    assert len(figure.axes) >= 9
    assert display.png(figure)
