"""Generation against a loop without cache, batch or padding; the draws' distribution, and how alike two models' draws are."""

import copy
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from scipy.stats import chisquare
from transformers import GPT2Config, GPT2LMHeadModel

from lib.language.backbone import Backbone, frozen
from lib.language.generation import _choose, _text, generate, next_log_probabilities, next_tokens, stream
from lib.language.likelihood import conditional_likelihood
from lib.seeds import Seeds

PROMPTS = ["The old farmer", "My sister was waiting near the garden gate, and", "", "Every child in 1984"]
SEEDS = Seeds(7).child("tests")


def one_by_one(backbone, prompt, node, tokens, temperature=1.0):
    """The text of `tokens_one_by_one`."""
    return _text(backbone, tokens_one_by_one(backbone, prompt, node, tokens, temperature))


def tokens_one_by_one(backbone, prompt, node, tokens, temperature=1.0):
    """The whole sequence read anew for every token, no cache, no padding, no batch."""
    sequence, numbers, made = [backbone.start, *backbone.encode([prompt])[0]], node.numpy(), []
    for _ in range(tokens):
        with torch.inference_mode():
            logits = backbone.model(torch.tensor([sequence])).logits[0, -1:]
        token = _choose(logits, [numbers], temperature).item()
        if token in backbone.stops:
            break
        sequence.append(token)
        made.append(token)
    return made


@pytest.mark.parametrize("settings", [{"temperature": 0}, {}, {"temperature": 0.7}])
def test_batched_with_cache_equals_one_by_one_without(backbone, settings):
    together = generate(backbone, PROMPTS, tokens=12, seeds=SEEDS, **settings)
    assert together == [one_by_one(backbone, prompt, SEEDS.child(i), 12, **settings) for i, prompt in enumerate(PROMPTS)]


def test_places_are_counted_from_each_text_s_start(backbone):
    """Rotary positions would not notice a shift; GPT-2's learned ones do."""
    size = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "vocab_size": len(backbone.tokenizer)}
    learned = frozen("learned", GPT2LMHeadModel(GPT2Config(**size, initializer_range=0.5)), backbone.tokenizer, "cpu")
    together = generate(learned, PROMPTS, tokens=12, seeds=SEEDS)
    assert together == [one_by_one(learned, prompt, SEEDS.child(i), 12) for i, prompt in enumerate(PROMPTS)]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batch_of_one_equals_batched_with_left_padding(backbone, batch_size):
    together = generate(backbone, PROMPTS, tokens=12, seeds=SEEDS)
    assert generate(backbone, PROMPTS, tokens=12, seeds=SEEDS, batch_size=batch_size) == together
    assert [generate(backbone, [PROMPTS[i]], tokens=12, seeds=[SEEDS.child(i)])[0] for i in range(4)] == together


def test_greedy_generation_is_deterministic(backbone):
    first, second = (generate(backbone, PROMPTS, tokens=12, seeds=Seeds(seed), temperature=0) for seed in (0, 1))
    assert first == second
    best = next_tokens(backbone, PROMPTS[0], 1)["token"][0]
    assert first[0].startswith(best)


def test_sampling_is_reproducible_under_a_seed(backbone):
    assert generate(backbone, PROMPTS, tokens=12, seeds=SEEDS) == generate(backbone, PROMPTS, tokens=12, seeds=SEEDS)
    assert generate(backbone, PROMPTS, tokens=12, seeds=SEEDS) != generate(backbone, PROMPTS, tokens=12, seeds=Seeds(8))


def test_each_prompt_has_numbers_of_its_own(backbone):
    same = generate(backbone, [PROMPTS[0]] * 3, tokens=12, seeds=SEEDS)
    assert len(set(same)) == 3
    assert len(set(generate(backbone, [PROMPTS[0]] * 3, tokens=12, seeds=[SEEDS] * 3))) == 1


def test_a_shorter_text_is_the_beginning_of_a_longer_one(backbone):
    for short, long in zip(*(generate(backbone, PROMPTS, tokens=n, seeds=SEEDS) for n in (5, 12)), strict=True):
        assert long.startswith(short)


def test_nothing_is_drawn_from_the_shared_generator(backbone):
    before = torch.get_rng_state()
    generate(backbone, PROMPTS, tokens=3, seeds=SEEDS)
    assert torch.equal(before, torch.get_rng_state())


def draws(p, count, temperature=1.0):
    """Many races of one distribution, each with its own stream."""
    return _choose(p.log().expand(count, -1), [SEEDS.child(i).numpy() for i in range(count)], temperature)


def test_tokens_come_with_the_model_s_probabilities():
    p = torch.tensor([0.4, 0.25, 0.2, 0.1, 0.05])
    counts = draws(p, 4000).bincount(minlength=5).numpy()
    assert chisquare(counts, 4000 * p.double().numpy() / p.double().sum().item()).pvalue > 1e-3
    sharp = draws(p, 4000, temperature=0.5).bincount(minlength=5).numpy()
    assert chisquare(sharp, 4000 * (p.double().square() / p.double().square().sum()).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("seed", [41, 43])
def test_a_race_is_never_won_by_a_token_without_probability(seed):
    """NumPy's exponential numbers in float32 are now and then exactly 0, soon under these seeds: a time of 0 beats everybody."""
    logits = torch.full((1, 49152), -80.0)
    logits[0, 5] = 0.0
    numbers = Seeds(seed).numpy()
    assert {_choose(logits, [numbers], 1.0).item() for _ in range(10)} == {5}


def test_common_numbers_keep_two_models_texts_together():
    """Draws differ with probability at most 2 d / (1 + d), d the total variation; separate numbers do far worse."""
    generator = SEEDS.torch()
    p = torch.randn(300, generator=generator).mul(2).softmax(-1)
    q = (p.log() + 0.3 * torch.randn(300, generator=generator)).softmax(-1)
    distance = (p - q).abs().sum().item() / 2
    apart = (draws(p, 3000) != draws(q, 3000)).double().mean().item()
    bound = 2 * distance / (1 + distance)
    assert 0 < apart <= bound + 4 * math.sqrt(bound / 3000)
    assert apart < 0.5 * (1 - (p * q).sum().item())


def test_the_same_model_under_another_name_gives_the_same_texts(backbone):
    twin = replace(backbone, name="twin", model=copy.deepcopy(backbone.model))
    assert generate(twin, PROMPTS, tokens=12, seeds=SEEDS) == generate(backbone, PROMPTS, tokens=12, seeds=SEEDS)


def test_a_text_ends_before_a_stop_token_and_the_others_go_on(backbone, monkeypatch):
    one, two = (tokens_one_by_one(backbone, PROMPTS[i], SEEDS.child(i), 12) for i in range(2))
    stop = next(token for token in one[3:] if token not in two and token not in one[:3])
    monkeypatch.setattr(Backbone, "stops", property(lambda self: frozenset({stop})))
    expected = [_text(backbone, one[: one.index(stop)]), _text(backbone, two)]
    assert generate(backbone, PROMPTS[:2], tokens=12, seeds=SEEDS) == expected
    assert len(list(stream(backbone, PROMPTS[:1], tokens=12, seeds=SEEDS))) < 12  # and nothing is computed for nobody


def test_a_stream_tells_every_token_and_ends_as_generate_does(backbone):
    told = list(stream(backbone, PROMPTS, tokens=12, seeds=SEEDS))
    assert len(told) == 12
    assert told[-1] == generate(backbone, PROMPTS, tokens=12, seeds=SEEDS)
    for before, after in pairwise(told):
        assert all(late.startswith(early) for early, late in zip(before, after, strict=True))


def test_a_stale_request_is_cancelled(backbone):
    seen = []
    for texts in stream(backbone, PROMPTS, tokens=12, seeds=SEEDS, cancelled=lambda: len(seen) == 3):
        seen.append(texts)
    assert len(seen) == 3
    closing = stream(backbone, PROMPTS, tokens=12, seeds=SEEDS)
    next(closing)
    closing.close()
    assert list(closing) == []
    assert not torch.is_inference_mode_enabled()


def test_a_character_of_which_bytes_are_missing_is_left_out(backbone):
    tokens = backbone.encode(["naïve 漢"])[0]
    assert _text(backbone, tokens) == "naïve 漢"
    assert _text(backbone, tokens[:-1]) == "naïve "


def test_next_token_probabilities_are_those_of_the_likelihood(backbone):
    table = next_log_probabilities(backbone, PROMPTS)
    torch.testing.assert_close(table.exp().sum(-1), torch.ones(4))
    for row, prompt in enumerate(PROMPTS):
        for word in (" the", "x"):
            (token,) = backbone.encode([word])[0]
            nats = conditional_likelihood(backbone, [prompt], [word]).nats.item()
            assert -table[row, token].item() == pytest.approx(nats, rel=1e-4)


def test_the_table_of_next_tokens_is_sorted_and_holds_those_asked_for(backbone):
    table = next_tokens(backbone, PROMPTS[0], 5, also=[0, 9])
    assert table.columns.tolist() == ["token", "id", "probability"]
    assert table["probability"].is_monotonic_decreasing
    assert {0, 9} <= set(table["id"])
    everything = next_log_probabilities(backbone, PROMPTS[:1])[0].exp()
    assert table["probability"].max() == pytest.approx(everything.max().item())
    assert next_tokens(backbone, PROMPTS[0], 405)["probability"].sum() == pytest.approx(1, rel=1e-5)
    assert everything[table["id"].tolist()].tolist() == pytest.approx(table["probability"].tolist())


def test_weights_that_are_not_finite_are_named(backbone):
    broken = copy.deepcopy(backbone.model)
    with torch.no_grad():
        broken.model.layers[0].mlp.up_proj.weight.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="logits of 'tiny' are NaN or infinite"):
        generate(replace(backbone, model=broken), PROMPTS, tokens=3, seeds=SEEDS)


@pytest.mark.parametrize("call", [generate, stream])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompts": []}, r"prompts: got \[\], allowed is a list of at least one text"),
        ({"prompts": "one"}, "prompts: got 'one'"),
        ({"prompts": ["a", "b c " * 300]}, r"prompts\[1\]: \d+ tokens and 4 new ones need a context of \d+, the model's is 256"),
        ({"tokens": 256}, r"prompts\[0\]: 1 tokens and 256 new ones need a context of 257"),
        ({"tokens": 0}, "tokens: got 0"),
        ({"temperature": -1.0}, "temperature: got -1"),
        ({"temperature": math.nan}, "temperature: got nan"),
        ({"seeds": [SEEDS, SEEDS]}, "seeds: got 2 nodes for 1 prompts"),
    ],
)
def test_bad_input_is_refused_at_once(backbone, call, changed, said):
    settings = {"prompts": ["Our"], "tokens": 4, "seeds": SEEDS} | changed
    with pytest.raises(ValueError, match=said):
        call(backbone, settings.pop("prompts"), **settings)


def test_a_bad_table_or_batch_size_is_refused(backbone):
    with pytest.raises(ValueError, match="top: got 406, allowed are 1 to the vocabulary's 405"):
        next_tokens(backbone, "a", 406)
    with pytest.raises(ValueError, match="batch_size: got 0"):
        generate(backbone, PROMPTS, tokens=2, seeds=SEEDS, batch_size=0)


def test_the_whole_context_can_be_used(backbone):
    prompt = PROMPTS[0]
    room = backbone.context - len(backbone.encode([prompt])[0])
    assert len(list(stream(backbone, [prompt], tokens=room, seeds=SEEDS))) <= room


@pytest.mark.slow
@pytest.mark.xdist_group("smollm2")
def test_the_real_model_answers(real_backbone):
    prompts = ["The capital of France is", "Two plus two is four, and three plus three is"]
    together = generate(real_backbone, prompts, tokens=3, seeds=SEEDS, temperature=0)
    assert together == [generate(real_backbone, [prompt], tokens=3, seeds=SEEDS, temperature=0)[0] for prompt in prompts]
    assert together[0].startswith(" Paris")
    sampled = generate(real_backbone, prompts, tokens=4, seeds=SEEDS)
    assert sampled == [one_by_one(real_backbone, prompt, SEEDS.child(i), 4) for i, prompt in enumerate(prompts)]
