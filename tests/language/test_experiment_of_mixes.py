"""The whole experiment on the tiny model: what is measured is what was asked for, of the mix that was asked for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from lib.language import curves, measures
from lib.language.anchors import anchors
from lib.language.experiment import corpora_of, example_texts, mixed, run_mixes, train_all
from lib.language.generation import generate
from lib.language.judges import judge_of
from lib.language.likelihood import conditional_likelihood, text_likelihood
from lib.language.materials import corpus_table, cut, prepare
from lib.language.mixing import Mixer
from lib.language.scorers import NgramScorer
from lib.language.setup import Setup
from lib.seeds import Seeds
from lib.studies.registry import HOME
from tests.language.mixes import A, B, setup_of

SEEDS = Seeds(5).child("experiment")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Anchors and judges of these tests in a cache of their own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("STUDIES_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def setup():
    return setup_of(correlated=False)


@pytest.fixture(scope="module")
def materials(cache, setup):
    return prepare(setup, SEEDS)


@pytest.fixture(scope="module")
def trained(materials, setup):
    return train_all(setup, materials, SEEDS)


@pytest.fixture(scope="module")
def outcome(setup, materials, trained):
    return run_mixes(setup, materials, trained, SEEDS)


def test_the_likelihood_at_an_end_is_that_of_the_anchor_alone(outcome, materials, trained):
    with Mixer(materials.backbone, {"alone": trained[0][A, "+"]}) as mixer:
        mixer.apply({"alone": 1.0})
        alone = text_likelihood(materials.backbone, materials.styles[A].read.positive)
    costs = outcome.side([outcome.curve("alpha", A)[1.0]], A, "+", 0)[0]
    np.testing.assert_allclose(costs, (alone.nats / alone.tokens).numpy(), rtol=1e-5)


def test_the_base_point_is_the_base(outcome, materials):
    (mix,) = outcome.curve("base", "").values()
    own = text_likelihood(materials.backbone, materials.neutral)
    np.testing.assert_allclose(outcome.bits([mix], 0)[0], (own.nats / own.bytes / np.log(2)).numpy(), rtol=1e-6)


def test_afterwards_the_model_is_the_base_again(outcome, materials):
    from lib.language.backbone import fingerprint

    assert fingerprint(materials.backbone.model) == materials.backbone.fingerprint


def test_every_mix_continues_a_prompt_with_the_same_random_numbers(outcome, materials, setup):
    (mix,) = outcome.curve("base", "").values()
    prompts = list(materials.prompts["things"])
    nodes = [SEEDS.child("samples", "things", i, 0) for i in range(len(prompts))]
    own = generate(materials.backbone, prompts, tokens=setup.tokens, seeds=nodes)
    assert outcome.texts_of(mix, 0) == own


def test_what_sliders_and_the_base_wrote_is_read_by_the_base(outcome, materials, setup):
    mixes = {mix for group, name in (("base", ""), ("alpha", A), ("alpha", B)) for mix in outcome.curve(group, name).values()}
    assert set(outcome.written["mix"]) == mixes
    mix = outcome.curve("alpha", A)[1.0]
    prompts = list(materials.prompts["things"])
    own = conditional_likelihood(materials.backbone, prompts, outcome.texts_of(mix, 0))
    nats, tokens = outcome.costs(mix, 0, "things", setup.prompts)
    np.testing.assert_allclose(nats, own.nats.numpy(), rtol=1e-5)
    assert tokens.tolist() == own.tokens.tolist()


def test_the_prompt_is_not_scored(outcome, materials, setup):
    (mix,) = outcome.curve("base", "").values()
    texts = outcome.texts_of(mix, 0)
    assert not [text for text in texts if any(text.startswith(prompt) for prompt in materials.prompts["things"])]
    scores = outcome.scores[(outcome.scores["mix"] == mix) & (outcome.scores["attribute"] == A)]
    own = materials.styles[A].judges["ngram"].score([text.strip() for text in texts])
    np.testing.assert_allclose(scores[scores["judge"] == "ngram"]["score"], own)


def test_held_out_texts_train_neither_anchors_nor_judges(materials, setup):
    corpora = {text for texts in corpora_of(setup, materials, SEEDS).values() for text in texts}
    for style in materials.styles.values():
        assert not set(style.data.held_out.texts) & (corpora | set(style.data.scorer.texts))
        assert not corpora & set(style.data.scorer.texts)


def test_controls_have_the_texts_that_they_should(materials, setup):
    corpora = corpora_of(setup, materials, SEEDS)
    plus, minus = corpora[A, "+"], corpora[A, "-"]
    assert (corpora[f"{A} swapped", "+"], corpora[f"{A} swapped", "-"]) == (minus, plus)
    shuffled = corpora[f"{A} shuffled", "+"] + corpora[f"{A} shuffled", "-"]
    assert sorted(shuffled) == sorted(plus + minus)
    assert 0 < len(set(corpora[f"{A} shuffled", "+"]) & set(plus)) < len(plus)
    assert corpora[A, "mixture 0.5"] == mixed(materials.styles[A].data.anchors, 0.5)


@pytest.mark.parametrize(("alpha", "many"), [(0.0, 0), (0.25, 10), (1.0, 40)])
def test_a_mixture_has_its_proportion_and_repeats_no_content(materials, alpha, many):
    sides = materials.styles[A].data.anchors
    texts = mixed(sides, alpha)
    assert len(texts) == 40
    assert texts == sides.positive[:many] + sides.negative[many:]


def test_the_same_seed_gives_the_same_outcome(setup, materials, trained, outcome):
    again = run_mixes(setup, materials, trained, SEEDS)
    assert again.likelihoods.equals(outcome.likelihoods)
    assert again.texts.equals(outcome.texts)
    assert again.turns.equals(outcome.turns)


def test_sets_of_anchors_differ_and_are_measured_apart(setup, materials):
    twice = replace(setup, anchor_seeds=2)
    sets = train_all(twice, materials, SEEDS)
    first, second = (each[A, "+"].update(next(iter(each[A, "+"].factors))) for each in sets)
    assert not torch.equal(first, second)
    shuffled = [corpora_of(twice, materials, SEEDS.child("controls", k))[f"{A} shuffled", "+"] for k in range(2)]
    assert shuffled[0] != shuffled[1], "the luck of one shuffle would be in all sets"
    outcome = run_mixes(twice, materials, sets, SEEDS)
    assert set(outcome.likelihoods["repeat"]) == {0, 1}
    assert len(outcome.turns["repeat"].unique()) == 2


def test_examples_show_one_prompt_along_the_slider(setup, materials, outcome):
    table = example_texts(outcome, setup, materials, A)
    assert table["alpha"].tolist() == list(setup.path)
    (opening,) = {text.partition(" | ")[0] for text in table["text"]}
    mixes = [outcome.curve("alpha", A)[alpha] for alpha in (0.0, 1.0)]
    start, end = outcome.shares(mixes, A, setup.judges[0], 0, setup.prompts)
    assert opening == materials.prompts["things"][(end - start).argmax()]


def test_next_tokens_along_a_slider_are_probabilities(outcome, materials, setup):
    table = curves.token_table(outcome, materials, A, materials.prompts["things"][0], [0.0, 0.5, 1.0])
    assert set(table["alpha"]) == {0.0, 0.5, 1.0}
    assert (table.groupby("alpha")["probability"].sum() <= 1).all()
    assert len(set(table.groupby("alpha")["id"].apply(lambda ids: tuple(sorted(ids))))) == 1


def test_a_cached_judge_is_the_judge(materials, setup):
    data = materials.styles[A].data
    node = SEEDS.child("texts", A, "judge", "ngram")
    texts = list(data.held_out.texts)
    fresh, cached = NgramScorer.fit(data.scorer, node), judge_of("ngram", data, None, node)
    np.testing.assert_array_equal(cached.score(texts), fresh.score(texts))
    np.testing.assert_array_equal(cached.score(texts), materials.styles[A].judges["ngram"].score(texts))


def test_judges_are_trained_for_what_is_judged_alone(cache, setup):
    found = prepare(replace(setup, correlated=True), SEEDS)
    assert {name: set(style.judges) for name, style in found.styles.items()} == {
        A: {"ngram", "lexicon"}, B: {"ngram", "lexicon"}, "generated-politeness": set(), "generated-politeness-formal": set(),
    }  # fmt: skip
    assert set(found.references["attribute"]) == {A, B}
    assert set(corpus_table(found)["attribute"]) == set(found.styles)


def test_judges_are_judged_at_full_length_and_the_first_attribute_s_at_half_of_it_too(materials, setup):
    table = materials.references
    assert list(zip(table["attribute"], table["judge"], table["tokens"], strict=True)) == [
        (A, "ngram", 64), (A, "lexicon", 64), (B, "ngram", 64), (B, "lexicon", 64), (A, "ngram", 32), (A, "lexicon", 32),
    ]  # fmt: skip
    style = materials.styles[A]
    for row in table[table["attribute"] == A].itertuples():
        texts = cut(style.data.held_out.negative, materials.backbone, row.tokens)
        assert row.negative == pytest.approx(style.judges[row.judge].score(texts).mean())


def test_texts_too_short_to_be_judged_are_refused_by_name(cache, setup):
    with pytest.raises(ValueError, match="tokens: got 2; cut to 2, the judge 'ngram' cannot tell the sides"):
        prepare(replace(setup, tokens=2, attributes=(B, A)), SEEDS)


def test_texts_are_cut_to_their_first_tokens(materials):
    backbone = materials.backbone
    (short,) = cut(["the old farmer walked slowly to the harbour"], backbone, 3)
    assert backbone.encode([short])[0] == backbone.encode(["the old farmer walked slowly to the harbour"])[0][:3]


def test_the_corpora_are_described(materials):
    table = corpus_table(materials)
    assert table["generated"].all()
    assert table["attribute"].tolist() == [A, B]


def test_anchors_come_out_of_the_cache(setup, materials, trained, capsys):
    corpora = corpora_of(setup, materials, SEEDS.child("controls", 0))
    again = anchors(materials.trainee, corpora, setup.recipe(), SEEDS.child("anchors", 0))
    assert "building" not in capsys.readouterr().out
    layer = next(iter(again[A, "+"].factors))
    assert torch.equal(again[A, "+"].update(layer), trained[0][A, "+"].update(layer))


def test_the_first_steps_of_the_paper_size_run(cache):
    """Everything as at paper size, but the model, the corpora (its own are the same), and how much of it."""
    params = yaml.safe_load((HOME / "params" / "lm-interpolation" / "paper.yaml").read_text(encoding="utf-8"))
    few = {
        "backbone": "tiny", "anchor_seeds": 1, "steps": 1, "batch": 2, "block": 32, "corpus": 40, "judge_texts": 60,
        "held_out": 2, "prompts": 2, "samples": 2, "tokens": 64, "neutral": 2, "text_tokens": 16, "neutral_tokens": 16,
        "joint_prompts": 1,
        "attributes": [A, B], "judges": ["ngram"], "device": "cpu",
    }  # fmt: skip
    setup = Setup.of(params | few)
    materials = prepare(setup, SEEDS)
    trained = train_all(setup, materials, SEEDS)
    assert next(iter(trained[0].values())).meta["recipe"]["dropout"] == 0.1
    found = measures.measurements(run_mixes(setup, materials, trained, SEEDS), setup, SEEDS)
    assert found["extrapolation/far_cost_least"].n == 2
