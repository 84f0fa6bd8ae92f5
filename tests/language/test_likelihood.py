"""Likelihood against its definition, whatever the batch and the chunk."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from lib.language import likelihood
from lib.language.likelihood import conditional_likelihood, text_likelihood

TEXTS = [
    "The old farmer walked slowly to the harbour, before the rain.",
    "Our neighbour!",
    "x",
    "Every child in the village remembered 1984 — naïve café.",
    "My sister was waiting near the garden gate. " * 3,
]


def by_definition(backbone, context, tokens):
    """Sum of -log p(token | everything before it), one pass of the whole model, in float64."""
    sequence = torch.tensor([[*context, *tokens]])
    with torch.no_grad():
        log_p = backbone.model(sequence).logits[0].double().log_softmax(-1)
    places = range(len(context), len(context) + len(tokens))
    return -sum(log_p[place - 1, sequence[0, place]].item() for place in places)


def test_likelihood_is_the_sum_of_log_probabilities(backbone):
    found = text_likelihood(backbone, TEXTS)
    for text, nats in zip(TEXTS, found.nats.tolist(), strict=True):
        assert nats == pytest.approx(by_definition(backbone, [backbone.start], backbone.encode([text])[0]), rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_batched_with_padding_equals_one_by_one(backbone, batch_size):
    alone = torch.cat([text_likelihood(backbone, [text]).nats for text in TEXTS])
    torch.testing.assert_close(text_likelihood(backbone, TEXTS, batch_size).nats, alone, rtol=1e-5, atol=0)


def test_the_order_of_texts_does_not_matter(backbone):
    forth, back = text_likelihood(backbone, TEXTS, 2), text_likelihood(backbone, TEXTS[::-1], 2)
    torch.testing.assert_close(forth.nats, back.nats.flip(0), rtol=1e-5, atol=0)
    assert forth.tokens.equal(back.tokens.flip(0))


def test_tokens_and_bytes_are_counted(backbone):
    found = text_likelihood(backbone, TEXTS)
    assert found.tokens.tolist() == [len(row) for row in backbone.encode(TEXTS)]
    assert found.bytes.tolist() == [len(text.encode("utf-8")) for text in TEXTS]
    assert found.nats_per_token == pytest.approx(found.nats.sum().item() / found.tokens.sum().item())
    assert found.bits_per_byte == pytest.approx(found.nats.sum().item() / math.log(2) / found.bytes.sum().item())


def test_a_model_without_preference_pays_log_v_for_each_token(backbone):
    uniform = copy.deepcopy(backbone.model)
    with torch.no_grad():
        uniform.get_output_embeddings().weight.zero_()
    found = text_likelihood(replace(backbone, model=uniform), TEXTS)
    torch.testing.assert_close(found.nats, found.tokens.double() * math.log(len(backbone.tokenizer)), rtol=1e-6, atol=0)


def test_conditional_likelihood_is_what_the_chain_rule_says(backbone):
    prompts, texts = ["The old farmer", "", "Our"], [" walked slowly.", "Every child", " neighbour was waiting"]
    found = conditional_likelihood(backbone, prompts, texts, 2)
    for index, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        before, own = backbone.encode([prompt])[0], backbone.encode([text])[0]
        assert found.nats[index].item() == pytest.approx(by_definition(backbone, [backbone.start, *before], own), rel=1e-5)
        assert found.tokens[index] == len(own)
        assert found.bytes[index] == len(text)
        whole = by_definition(backbone, [backbone.start], [*before, *own])
        early = by_definition(backbone, [backbone.start], before)
        assert found.nats[index].item() == pytest.approx(whole - early, rel=1e-4)


def test_logits_exist_for_a_bounded_number_of_places(backbone, monkeypatch):
    whole = text_likelihood(backbone, TEXTS).nats
    monkeypatch.setattr(likelihood, "CHUNK", 7)
    sizes = []
    handle = backbone.model.lm_head.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    try:
        chunked = text_likelihood(backbone, TEXTS).nats
    finally:
        handle.remove()
    torch.testing.assert_close(chunked, whole, rtol=1e-5, atol=0)
    assert max(sizes) == 7
    assert sum(sizes) == sum(map(len, backbone.encode(TEXTS)))  # and none for padding


def test_weights_that_are_not_finite_are_named(backbone):
    broken = copy.deepcopy(backbone.model)
    with torch.no_grad():
        broken.model.norm.weight[0] = math.inf
    with pytest.raises(FloatingPointError, match="'tiny' is NaN or infinite"):
        text_likelihood(replace(backbone, model=broken), TEXTS)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda b: text_likelihood(b, []), "texts: got none"),
        (lambda b: text_likelihood(b, ["a", ""]), r"texts\[1\]: got an empty text"),
        (lambda b: text_likelihood(b, ["a"], 0), "batch_size: got 0"),
        (lambda b: text_likelihood(b, ["a", "b c" * 300]), r"texts\[1\]: got \d+ tokens .* context of 256"),
        (lambda b: conditional_likelihood(b, ["a b" * 300], ["c"]), r"texts\[0\]: got \d+ tokens with its prompt"),
        (lambda b: conditional_likelihood(b, ["a"], ["b", "c"]), "prompts: got 1 for 2 texts"),
    ],
)
def test_bad_input_is_refused(backbone, call, said):
    with pytest.raises(ValueError, match=said):
        call(backbone)


@pytest.mark.slow
@pytest.mark.xdist_group("smollm2")
def test_the_real_model_knows_english(real_backbone):
    texts = ["The cat sat on the mat and looked at the rain.", "Mat the rain on looked cat at and the sat the."]
    batched = text_likelihood(real_backbone, texts)
    alone = torch.cat([text_likelihood(real_backbone, [text]).nats for text in texts])
    torch.testing.assert_close(batched.nats, alone, rtol=1e-5, atol=0)
    assert batched.nats[0] < 0.6 * batched.nats[1]
    assert batched.nats[0].item() == pytest.approx(by_definition(real_backbone, [0], real_backbone.encode(texts)[0]), rel=1e-5)
