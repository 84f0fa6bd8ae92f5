"""Which mixes are made: every setting that does not fit is refused by name; equal mixes are made once."""

import pytest
import yaml

from lib.language.attributes import ATTRIBUTES
from lib.language.plan import points_of, slider, works_of
from lib.language.setup import JUDGES, Setup
from lib.studies.params import choices
from lib.studies.registry import HOME, find
from tests.language.mixes import A, B, setup_of


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attributes": (A,)}, "attributes: got .* two or more different"),
        ({"attributes": (A, A)}, "attributes: got .* two or more different"),
        ({"alphas": (0.0, 1.0)}, "alphas: got .* 3 or more"),
        ({"alphas": (0.0, 0.6, 0.5, 1.0)}, "alphas: got .* ascending"),
        ({"alphas": (0.1, 0.5, 1.0)}, "begin with 0 and end with 1"),
        ({"extrapolated": (0.5, 2.0)}, "extrapolated: got .* outside"),
        ({"extrapolated": (-1.0,)}, "extrapolated: got .* some above 1"),
        ({"extrapolated": (float("nan"),)}, "extrapolated: got"),
        ({"lambdas": (0.0, 1.5)}, "lambdas: got"),
        ({"lambdas": (1.0,)}, "lambdas: got .* 2 or more"),
        ({"mixture_alphas": (0.25,)}, "mixture_alphas: got"),
        ({"judges": ()}, "judges: got"),
        ({"judges": ("ngram", "oracle")}, "judges: got"),
        ({"joint_prompts": 5}, "joint_prompts: got 5, allowed are at most prompts = 4"),
        ({"dropout": 1.0}, "dropout: got 1.0"),
        ({"attributes": ("simplicity", B)}, "attribute: got 'simplicity'"),  # has no lexicon
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        setup_of(**changes)


def test_an_unknown_attribute_lists_the_known_ones():
    with pytest.raises(KeyError, match="known are sentiment"):
        setup_of(attributes=("charm", B))


def test_the_schema_knows_the_same_attributes_and_judges():
    fields = find("lm-interpolation").study.params.model_fields
    assert set(choices(fields["attributes"])) == set(ATTRIBUTES)
    assert set(choices(fields["judges"])) == set(JUDGES)


@pytest.mark.parametrize("size", ["test", "quick", "laptop", "paper"])
def test_every_size_is_a_setup(size):
    params = yaml.safe_load((HOME / "params" / "lm-interpolation" / f"{size}.yaml").read_text(encoding="utf-8"))
    setup = Setup.of(params | {"device": "cpu"})
    assert setup.near > 1 > setup.middle > 0
    assert setup.far > 2
    assert len(works_of(points_of(setup))) < len(points_of(setup))


def test_weights_of_every_point_sum_to_one_but_for_the_base():
    for point in points_of(setup_of()):
        assert sum(point.weights.values()) == pytest.approx(0 if point.group == "base" else 1)


def test_equal_mixes_are_made_once_with_the_work_of_all():
    setup = setup_of()
    works = works_of(points_of(setup))
    assert len({work.mix for work in works}) == len(works)
    anchor = next(work for work in works if dict(work.mix) == {(A, "+"): 1.0})  # alpha 1, and lambda 1
    assert anchor.neutral
    assert anchor.continued == {A: setup.prompts}
    assert set(anchor.likelihood) == {A}


def test_far_sliders_do_not_warn(recwarn):
    assert slider(A, 3.0) == {(A, "+"): 3.0, (A, "-"): -2.0}
    assert not recwarn.list


def test_the_paper_size_is_the_papers():
    params = yaml.safe_load((HOME / "params" / "lm-interpolation" / "paper.yaml").read_text(encoding="utf-8"))
    setup = Setup.of(params | {"device": "cpu"})
    assert setup.backbone == "meta-llama/Llama-2-7b-hf"
    assert len(setup.attributes) == 5
    recipe = setup.recipe()
    assert (recipe.rank, recipe.lora_alpha, recipe.dropout, recipe.block, recipe.batch) == (32, 16.0, 0.1, 128, 256)
    assert (setup.prompts, setup.samples, setup.tokens, setup.temperature) == (1000, 3, 32, 1.0)
    assert len(setup.alphas) == 11
    assert (setup.extrapolated[0], setup.extrapolated[-1]) == (-3.0, 4.0)
    assert (setup.focus, setup.others_alpha) == (0.4, 1.0)
