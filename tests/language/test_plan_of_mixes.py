"""Which mixes are made: every setting that does not fit is refused by name; equal mixes are made once."""

import re

import pytest
import yaml

from lib.language.attributes import ATTRIBUTES, find_attribute, load_attribute
from lib.language.plan import points_of, slider_weights, works_of
from lib.language.setup import JUDGES, Setup
from lib.seeds import Seeds
from lib.studies.params import SIZES, choices
from lib.studies.registry import HOME, find
from tests.language.mixes import A, B, setup_of

LONG = ("archaic", "critic")


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
        ({"neutral": 150}, "neutral: got 150, allowed are at most 25 paragraphs"),
        ({"attributes": (B, "archaic"), "prompts": 55}, "prompts: got 55, allowed for 'archaic' are at most 54.*about people"),
        ({"attributes": ("sentiment", B), "prompts": 91}, "prompts: got 91, allowed for 'sentiment' are at most 90.*about film"),
        (
            {"attributes": (B, "sentiment"), "corpus": 3000, "judge_texts": 10, "held_out": 4},
            "corpus, judge_texts, held_out: got 3000, 10, 4, allowed for 'sentiment' are numbers that add to at most 3100",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        setup_of(**changes)


def test_as_many_openings_and_texts_as_there_are_fit():
    assert setup_of(attributes=("sentiment", B), prompts=90).kind("sentiment") == "film"
    assert setup_of(attributes=("archaic", B), prompts=1000, matched_prompts=False).kind("archaic") == "things"
    assert setup_of(attributes=("sentiment", B), corpus=2990, judge_texts=10).sizes["held_out"] == 100
    assert setup_of(corpus=1_000_000).corpus == 1_000_000  # of a grammar there is no end


def test_an_unknown_attribute_lists_the_known_ones():
    with pytest.raises(KeyError, match="known are sentiment"):
        setup_of(attributes=("charm", B))


def test_the_schema_knows_the_same_attributes_and_judges():
    fields = find("lm-interpolation").study.params.model_fields
    assert set(choices(fields["attributes"])) == set(ATTRIBUTES)
    assert set(choices(fields["judges"])) == set(JUDGES)


def setup_at(size):
    """The setup of a size's file."""
    params = yaml.safe_load((HOME / "params" / "lm-interpolation" / f"{size}.yaml").read_text(encoding="utf-8"))
    return Setup.of(params | {"device": "cpu"})


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_a_setup(size):
    setup = setup_at(size)
    assert setup.near > 1 > setup.middle > 0
    assert setup.far > 2
    assert len(works_of(points_of(setup))) < len(points_of(setup))


def marks(name):
    """What a corpus needs to be read: generated ones nothing, the others the suite's cache; some of them take long."""
    return [*([] if find_attribute(name).generated else [pytest.mark.network]), *([pytest.mark.slow] if name in LONG else [])]


@pytest.mark.parametrize(
    ("size", "name"), [pytest.param(size, name, marks=marks(name)) for size in SIZES for name in setup_at(size).styles]
)
def test_every_size_has_its_texts_and_reads_them_three_times_at_most(size, name):
    """Every word and every mark is a token at least, whatever the tokenizer, so that passes are not more than counted here."""
    setup = setup_at(size)
    data = load_attribute(name, Seeds(0).child(size, name), setup.sizes)
    assert [len(part.positive) for part in (data.anchors, data.scorer, data.held_out)] == list(setup.sizes.values())
    for side in (data.anchors.positive, data.anchors.negative):
        tokens = sum(1 + len(re.findall(r"\w+|[^\w\s]", text)) for text in side)
        assert setup.steps * setup.batch * setup.block < 3 * tokens


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
    assert slider_weights(A, 3.0) == {(A, "+"): 3.0, (A, "-"): -2.0}
    assert not recwarn.list


def test_the_paper_size_is_the_papers():
    """But for steps and batch (the paper: 256 rows): over corpora as small as ours such batches make many passes."""
    setup = setup_at("paper")
    assert setup.backbone == "meta-llama/Llama-2-7b-hf"
    assert len(setup.attributes) == 5
    recipe = setup.recipe()
    assert (recipe.rank, recipe.lora_alpha, recipe.dropout, recipe.block, recipe.lr) == (32, 16.0, 0.1, 128, 2e-4)
    assert (setup.prompts, setup.samples, setup.tokens, setup.temperature) == (1000, 3, 32, 1.0)
    assert len(setup.alphas) == 11
    assert (setup.extrapolated[0], setup.extrapolated[-1]) == (-3.0, 4.0)
    assert (setup.focus, setup.others_alpha) == (0.4, 1.0)
