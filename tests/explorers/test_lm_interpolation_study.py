"""The scene that the study's notebook makes, out of tables with known means."""

import runpy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from lib.explorers import lm_interpolation as method
from lib.explorers.lm_interpolation_state import Mix
from lib.explorers.lm_interpolation_study import measured_curves, study_scene
from lib.language.materials import Materials, Style
from lib.language.outcome import Rows, gathered
from lib.language.setup import Setup
from lib.seeds import Seeds
from lib.studies import find

ALPHAS = (0.0, 1.0)


@pytest.fixture(scope="module")
def built():
    return runpy.run_path(str(Path(__file__).parent / "lm_interpolation_scene.py"))


@pytest.fixture(scope="module")
def setup(built):
    whole = Setup.of(find("lm-interpolation").size_params("test").model_dump())
    return replace(whole, attributes=built["NAMES"], judges=("ngram", "lexicon"), correlated=False)


@pytest.fixture(scope="module")
def outcome(built, setup):
    """The base, two ends of each slider, and a joint mix; the judge that counts gives each mix a mean of its number in tenths."""
    first, second = built["NAMES"]
    points = [("base", "", 0.0), *(("alpha", name, alpha) for name in (first, second) for alpha in ALPHAS), ("joint", first, 1.0)]
    table = pd.DataFrame(points, columns=["group", "attribute", "value"]).assign(mix=range(len(points)))
    asked = [(0, first), (0, second), (1, first), (2, first), (3, second), (4, second), (5, first), (5, second)]
    scores = [
        {"repeat": repeat, "mix": mix, "attribute": name, "judge": judge, "prompt": prompt, "sample": 0, "score": score}
        for mix, name in asked
        for prompt in (0, 1)
        for repeat, judge, score in (
            (0, "ngram", mix / 10 + 0.05 * (-1) ** prompt + 0.1), (0, "lexicon", 0.99), (1, "ngram", 0.99),
        )
    ]  # fmt: skip
    references = [
        {"attribute": name, "judge": judge, "tokens": tokens, "negative": low, "positive": high}
        for name in (first, second)
        for judge, tokens, low, high in (
            ("ngram", setup.tokens, 0.2, 0.9), ("lexicon", setup.tokens, 0.1, 0.8), ("ngram", setup.half, 0.4, 0.6),
        )
    ]  # fmt: skip
    return gathered(table, Rows(scores=scores), pd.DataFrame(references), [built["adapters"]])


def test_curves_are_means_of_single_sliders_and_the_base(built, setup, outcome):
    first, second = built["NAMES"]
    found = measured_curves(outcome, setup).set_index(["moved", "scored", "alpha"])["score"]
    assert found.to_dict() == pytest.approx(
        {
            ("", first, 0.0): 0.1, ("", second, 0.0): 0.1, (first, first, 0.0): 0.2, (first, first, 1.0): 0.3,
            (second, second, 0.0): 0.4, (second, second, 1.0): 0.5,
        }
    )  # fmt: skip


def test_the_study_s_scene_has_its_attributes_judge_prompts_and_curves(built, setup, outcome):
    first, second = built["NAMES"]
    judges = {name: {"ngram": scorer, "lexicon": None} for name, scorer in built["scorers"].items()}
    styles = {name: Style(data, data.held_out, judges[name], "things") for name, data in built["data"].items()}
    prompts = tuple(f"opening {i}" for i in range(7))
    materials = Materials(
        built["backbone"], styles, {"things": prompts, "film": ("a film",)}, (), pd.DataFrame(), built["backbone"]
    )
    scene = study_scene(materials, outcome, setup, Seeds(2))
    assert scene.names == (first, second)
    assert scene.scorers == built["scorers"]
    assert scene.ends == {first: (0.2, 0.9), second: (0.2, 0.9)}
    assert scene.prompts == (*prompts[:5], "a film")
    assert (scene.tokens, scene.temperature) == (setup.tokens, setup.temperature)
    assert "judge: ngram" in scene.measured
    found = method.predicted(scene, Mix((1.0, 0.0), (0.5, 0.5)))
    assert found[first].value == pytest.approx((0.3 + 0.1) / 2), "half its slider, half the base"
    assert found[second].value == pytest.approx((0.4 + 0.1) / 2)
