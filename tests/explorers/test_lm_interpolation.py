"""The lm-interpolation explorer's functions of a scene and a state, against closed forms and the study's own generation."""

import math
import runpy
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from lib.explorers import lm_interpolation as method
from lib.explorers.lm_interpolation_scene import Curve, scene_of, twin
from lib.explorers.lm_interpolation_state import ALPHA, MOST_SEED, MOST_TOKENS, SAMPLES, Mix, check, first_state
from lib.language.generation import generate, next_tokens
from lib.language.mixing import Mixer
from lib.language.weights import Attributes
from lib.seeds import Seeds


@pytest.fixture(scope="module")
def built():
    return runpy.run_path(str(Path(__file__).parent / "lm_interpolation_scene.py"))


@pytest.fixture(scope="module")
def scene(built):
    return built["scene"]


def never():
    return False


def written(scene, shares, state):
    *_, [last] = method.write(scene, shares, state, [method.text_node(scene, state.seed)], never)
    return last


def vectors(scene, state):
    """Log-probabilities after the prompt in both panes, heard while a text begins."""
    found = []
    for pane in "ab":
        with closing(method.write(scene, method.weights(scene, state.mix(pane)), state, [Seeds(0)], never)) as told:
            next(told)
            found.append(method.after(scene))
    return found


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6).filter(lambda parts: sum(parts) > 0))
def test_lambdas_are_the_parts_over_their_sum(parts):
    lambdas = Mix((0.5,) * len(parts), tuple(parts)).lambdas
    assert math.isclose(sum(lambdas), 1)
    assert all(math.isclose(each * math.fsum(parts), part, abs_tol=1e-300) for each, part in zip(lambdas, parts, strict=True))


def test_lambdas_that_are_all_0_are_refused():
    with pytest.raises(ValueError, match="lambda: all of them are 0, allowed is at least one above 0"):
        _ = Mix((0.5, 0.5), (0.0, 0.0)).lambdas


@given(st.lists(st.floats(*ALPHA), min_size=2, max_size=2), st.lists(st.floats(0.01, 1), min_size=2, max_size=2))
def test_the_shares_of_all_anchors_make_1_and_those_of_an_attribute_its_lambda(built, alphas, parts):
    mix, scene = Mix(tuple(alphas), tuple(parts)), built["scene"]
    shares = method.weights(scene, mix)
    assert math.isclose(sum(shares.values()), 1, abs_tol=1e-9)
    for name, alpha, share in zip(scene.names, mix.alphas, mix.lambdas, strict=True):
        assert math.isclose(shares[name, "+"], share * alpha, abs_tol=1e-12)
        assert math.isclose(shares[name, "+"] + shares[name, "-"], share, abs_tol=1e-9)


def test_a_curve_is_straight_between_measured_points_and_constant_beyond():
    curve = Curve((0.0, 0.5, 1.0), (0.2, 0.4, 0.8))
    assert [curve.at(alpha) for alpha in (-1, 0, 0.25, 0.5, 0.75, 1, 2)] == pytest.approx([0.2, 0.2, 0.3, 0.4, 0.6, 0.8, 0.8])
    assert [curve.covers(alpha) for alpha in (-0.01, 0, 1, 1.01)] == [False, True, True, False]


def test_a_mix_of_one_attribute_is_predicted_by_its_own_curves(scene):
    for alpha in (-0.5, 0.1, 1.5):
        found = method.predicted(scene, Mix((alpha, 0.9), (0.7, 0.0)))
        expected = [scene.curves[scene.names[0], scored].at(alpha) for scored in scene.names]
        assert [found[name].value for name in scene.names] == pytest.approx(expected)
        assert all(each.covered for each in found.values())


@given(st.floats(0, 1), st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_predictions_are_affine_in_lambda(built, share, first, second):
    scene = built["scene"]
    ends = [method.predicted(scene, Mix((first, second), parts)) for parts in ((1.0, 0.0), (0.0, 1.0))]
    found = method.predicted(scene, Mix((first, second), (share, 1 - share)))
    for name in scene.names:
        assert found[name].value == pytest.approx(share * ends[0][name].value + (1 - share) * ends[1][name].value)


def test_predictions_beyond_what_was_measured_are_marked(scene):
    assert not method.predicted(scene, Mix((1.55, 0.5), (1.0, 0.2)))[scene.names[0]].covered
    assert method.predicted(scene, Mix((1.55, 0.5), (0.0, 0.2)))[scene.names[0]].covered, "one that does not count"


def with_curves(built, curves):
    kept = (built[name] for name in ("backbone", "adapters", "scorers", "ends"))
    return scene_of(*kept, curves, built["PROMPTS"], seeds=Seeds(0))


def test_an_attribute_that_was_not_scored_beside_another_stays_at_the_base_s_score_or_its_middle(built):
    own = built["curves"].query("moved == scored")
    first, second = built["NAMES"]
    mix = Mix((1.0, 0.5), (1.0, 0.0))
    assert method.predicted(with_curves(built, own), mix)[second].value == pytest.approx(0.5), "its curve at one half"
    base = pd.DataFrame([{"moved": "", "scored": second, "alpha": 0.0, "score": 0.31}])
    found = method.predicted(with_curves(built, pd.concat([own, base])), mix)
    assert found[second].value == pytest.approx(0.31)
    assert found[first].value == pytest.approx(0.65)


def test_several_scores_at_one_alpha_are_averaged(built):
    twice = pd.concat([built["curves"], built["curves"].assign(score=lambda table: table["score"] + 0.1)])
    name = built["NAMES"][0]
    assert with_curves(built, twice).curves[name, name].at(0.5) == pytest.approx(0.55)


def test_texts_are_those_of_the_study_under_the_same_mix(built, scene):
    state = replace(first_state(scene), seed=3)
    shares = method.weights(scene, state.a)
    alphas, lambdas = (dict(zip(scene.names, values, strict=True)) for values in ((1.0, 0.5), (0.8, 0.2)))
    with Mixer(built["backbone"], built["adapters"]) as mixer:
        mixer.apply(Attributes(scene.names).mix_weights(alphas, lambdas))
        node = scene.seeds.child("text", 3)
        expected = generate(built["backbone"], [state.prompt], tokens=16, seeds=[node], temperature=state.temperature)
    assert [written(scene, shares, state)] == expected


def test_lambda_of_one_attribute_and_alpha_at_an_end_is_its_anchor_alone(scene):
    state = first_state(scene)
    for alpha, sign in ((1.0, "+"), (0.0, "-")):
        shares = method.weights(scene, Mix((alpha, 0.4), (0.3, 0.0)))
        alone = method.anchor_shares((scene.names[0], sign))
        assert written(scene, shares, state) == written(scene, alone, state)
    assert method.anchor_shares(method.BASE) == {}


def test_the_explorer_s_model_shares_memory_with_the_notebook_s_and_leaves_it_alone(built):
    backbone = built["backbone"]
    own = twin(backbone)
    theirs, mine = (dict(each.model.named_parameters()) for each in (backbone, own))
    assert {name: each.data_ptr() for name, each in theirs.items()} == {name: each.data_ptr() for name, each in mine.items()}
    tokens = torch.tensor([[0, 5, 6, 7]])
    before = backbone.logits(backbone.hidden(tokens))
    mixer = Mixer(own, built["adapters"])
    mixer.apply({(built["NAMES"][0], "+"): 1.0})
    assert torch.equal(backbone.logits(backbone.hidden(tokens)), before)
    assert not torch.allclose(own.logits(own.hidden(tokens)), before)
    with Mixer(backbone, built["adapters"]) as other:
        other.apply({(built["NAMES"][0], "-"): 1.0})
        assert not torch.allclose(own.logits(own.hidden(tokens)), backbone.logits(backbone.hidden(tokens)))
    mixer.restore()
    assert torch.equal(own.logits(own.hidden(tokens)), before)


def test_a_model_that_holds_a_mix_is_refused(built):
    with Mixer(built["backbone"], built["adapters"]) as mixer:
        mixer.apply({(built["NAMES"][0], "+"): 1.0})
        with pytest.raises(RuntimeError, match="already merged by a Mixer"):
            with_curves(built, built["curves"])


def test_next_tokens_are_the_model_s_own(scene):
    state = first_state(scene)
    a, b = vectors(scene, state)
    scene.mixer.apply(method.weights(scene, state.a))
    expected = next_tokens(scene.backbone, state.prompt, top=method.TOP)
    found = method.next_bars(scene, a, a)
    assert [bar.id for bar in found] == expected["id"].tolist()
    assert [bar.a for bar in found] == pytest.approx(expected["probability"].tolist())
    assert method.next_bars(scene, None, a) == tuple(replace(bar, a=None) for bar in found), "where one is known"
    assert method.next_bars(scene, None, None) == ()
    both = method.next_bars(scene, a, b)
    assert [bar.a + bar.b for bar in both] == sorted((bar.a + bar.b for bar in both), reverse=True)
    least = min(max(bar.a, bar.b) for bar in both)
    others = np.delete(np.exp(np.maximum(a, b)), [bar.id for bar in both])
    assert least >= others.max()


def test_total_variation_lies_between_equal_and_disjoint(scene):
    a, b = vectors(scene, first_state(scene))
    assert method.total_variation(a, a) == 0
    assert 0 < method.total_variation(a, b) < 1
    sure = np.full(8, -np.inf, dtype=np.float32)
    one, other = sure.copy(), sure.copy()
    one[1] = other[2] = 0.0
    assert method.total_variation(one, other) == pytest.approx(1)


@pytest.mark.parametrize(
    ("own", "other", "done", "expected"),
    [
        ("a cat", "a cow", True, 3),
        ("a cat", "a c", False, 5),
        ("a cat", "a c", True, 3),
        ("", "a", True, 0),
        ("ab", "ab", True, 2),
    ],
)
def test_texts_part_where_they_are_known_to_differ(own, other, done, expected):
    assert method.parting(own, other, done) == expected


@pytest.mark.parametrize("values", [[0.2, 0.4, 0.9, 0.3], [0.5, 0.6]])
def test_the_interval_of_a_mean_is_student_s_within_the_scores(values):
    found, interval = method.mean_of(np.array(values)), ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.value, found.n) == (pytest.approx(np.mean(values)), len(values))
    assert found.low == pytest.approx(max(interval.low, 0))
    assert found.high == pytest.approx(min(interval.high, 1))


def test_one_score_has_no_interval():
    assert method.mean_of(np.array([0.7])) == method.Mean(0.7, 1)


def test_blank_texts_are_not_scored(scene):
    assert method.scores(scene, [" ", "\n"]).shape == (0, 2)
    assert method.scores(scene, ["it is a good day", "", "it's bad"]).shape == (2, 2)


def test_samples_are_other_texts_with_their_own_randomness(scene):
    nodes = method.sample_nodes(scene, 0)
    assert len({*nodes, method.text_node(scene, 0)}) == SAMPLES + 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": Mix((2.1, 0.5), (1.0, 0.0))}, "alpha of 'generated-sentiment': got 2.1, allowed are -1 to 2"),
        ({"a": Mix((float("nan"), 0.5), (1.0, 0.0))}, "alpha of 'generated-sentiment': got nan"),
        ({"b": Mix((0.5, 0.5), (1.0, -0.1))}, "part of 'generated-politeness': got -0.1, allowed are 0 to 1"),
        ({"b": Mix((0.5,), (1.0,))}, "alpha: got 1 numbers, allowed is one for each of"),
        ({"tokens": 0}, f"tokens: got 0, allowed are 1 to {MOST_TOKENS}"),
        ({"temperature": float("inf")}, "temperature: got inf, allowed are 0 to 2"),
        ({"seed": MOST_SEED + 1}, f"seed: got {MOST_SEED + 1}"),
    ],
    ids=str,
)
def test_states_that_cannot_be_are_refused(scene, changes, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        check(scene, replace(first_state(scene), **changes))


BAD_SCENES = {
    "scorers": (lambda built: {"scorers": {}}, "scorers: got .*allowed is one for each attribute"),
    "ends": (lambda built: {"ends": {"generated-sentiment": (0.2, 0.8)}}, r"ends: got \(\) for 'generated-politeness'"),
    "an end": (lambda built: {"ends": dict.fromkeys(built["NAMES"], (0.2, 1.8))}, r"ends: got \(0.2, 1.8\).*allowed are two"),
    "prompts": (lambda built: {"prompts": []}, "prompts: got .*at least one text"),
    "one prompt": (lambda built: {"prompts": "word"}, "prompts: got 'word'"),
    "empty prompt": (lambda built: {"prompts": ["a", ""]}, "none of them empty"),
    "one anchor": (
        lambda built: {"adapters": {key: each for key, each in built["adapters"].items() if key[1] == "+"}},
        "has no anchor '-'",
    ),
    "columns": (
        lambda built: {"curves": built["curves"].drop(columns="alpha")},
        "curves: got the columns .*allowed are also alpha",
    ),
    "no curve": (
        lambda built: {"curves": built["curves"].query("scored != 'generated-sentiment'")},
        "curves: no scores of 'generated-sentiment' at two alphas or more",
    ),
    "scores": (lambda built: {"curves": built["curves"].assign(score=1.2)}, r"allowed are numbers in \[0, 1\]"),
    "no number": (
        lambda built: {"curves": built["curves"].assign(score=np.nan)},
        r"allowed are numbers in \[0, 1\]|at two alphas",
    ),
}


@pytest.mark.parametrize("name", BAD_SCENES)
def test_scenes_that_cannot_be_are_refused(built, name):
    change, message = BAD_SCENES[name]
    given = {key: built[key] for key in ("adapters", "scorers", "ends", "curves")} | {"prompts": built["PROMPTS"]} | change(built)
    with pytest.raises(ValueError, match=message):
        scene_of(built["backbone"], **given, seeds=Seeds(0))
