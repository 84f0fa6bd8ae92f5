"""The frozen backbone: what every later step relies on, and models that cannot serve as one."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Gemma2Config, Gemma2ForCausalLM

from lib.data import DataUnavailable
from lib.language.backbone import fingerprint, frozen, load_backbone, tiny_backbone
from lib.seeds import Seeds

RAIN = [50, 296, 282, 221, 17, 25, 24, 20, 12, 380, 260, 330, 14]  # as another process made them


def test_the_model_is_frozen_in_evaluation_mode_and_pads_on_the_left(backbone):
    assert not backbone.model.training
    assert not any(value.requires_grad for value in backbone.model.parameters())
    assert backbone.tokenizer.padding_side == "left"
    assert backbone.tokenizer.pad_token_id is not None


def test_the_tiny_model_is_of_the_real_one_s_family(backbone):
    config = backbone.model.config
    assert config.model_type == "llama"
    assert config.num_key_value_heads < config.num_attention_heads
    assert backbone.model.lm_head.weight is backbone.model.model.embed_tokens.weight
    assert 80_000 < sum(value.numel() for value in backbone.model.parameters()) < 120_000


def test_the_tiny_model_is_always_the_same_and_leaves_the_shared_generator_alone(backbone):
    before = torch.get_rng_state()
    again = tiny_backbone()
    assert torch.equal(before, torch.get_rng_state())
    assert again.fingerprint == backbone.fingerprint
    assert again.tokenizer.get_vocab() == backbone.tokenizer.get_vocab()
    assert again.encode(["Rain in 1984, near the gate."])[0] == RAIN


def test_the_fingerprint_names_the_weights(backbone):
    assert tiny_backbone(Seeds(1)).fingerprint != backbone.fingerprint
    changed = copy.deepcopy(backbone.model)
    assert fingerprint(changed) == backbone.fingerprint
    with torch.no_grad():
        changed.model.layers[1].mlp.up_proj.weight[0, 0].mul_(1 + 1e-6)
    assert fingerprint(changed) != backbone.fingerprint


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: "<|" not in text))
def test_tokens_give_the_text_back(text):
    backbone = tiny_backbone()
    (tokens,) = backbone.encode([text])
    assert backbone.tokenizer.decode(tokens) == text


def test_digits_stand_apart(backbone):
    assert backbone.tokenizer.convert_ids_to_tokens(backbone.encode(["x\n\n12"])[0]) == ["x", "Ċ", "Ċ", "1", "2"]
    assert backbone.encode([]) == []


def test_the_start_is_the_separator_else_bos_else_eos(backbone):
    assert backbone.start == backbone.tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert backbone.stops == {backbone.start}
    tokenizer = _without_separator(backbone, bos="a", eos="b")
    found = frozen("other", copy.deepcopy(backbone.model), tokenizer, "cpu")
    assert (found.start, found.stops) == (tokenizer.bos_token_id, {tokenizer.bos_token_id, tokenizer.eos_token_id})
    tokenizer = _without_separator(backbone, bos=None, eos="b")
    assert frozen("other", copy.deepcopy(backbone.model), tokenizer, "cpu").start == tokenizer.eos_token_id


def _without_separator(backbone, bos, eos):
    """A tokenizer of the same pieces whose special tokens are plain letters."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    return PreTrainedTokenizerFast(tokenizer_object=pieces, bos_token=bos, eos_token=eos)


def test_a_tokenizer_without_any_start_is_refused(backbone):
    with pytest.raises(ValueError, match="'other': it has neither a BOS nor an EOS token"):
        frozen("other", backbone.model, _without_separator(backbone, None, None), "cpu")


def test_a_tokenizer_that_is_not_a_fast_one_is_refused(backbone, tmp_path):
    from transformers import ByT5Tokenizer

    with pytest.raises((ValueError, TypeError), match=r"ByT5Tokenizer"):
        frozen("other", backbone.model, ByT5Tokenizer(), "cpu")


def test_a_local_folder_is_a_model(backbone, tmp_path):
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    found = load_backbone(str(tmp_path))
    assert found.fingerprint == backbone.fingerprint
    assert found.encode(["The old farmer in 1984."]) == backbone.encode(["The old farmer in 1984."])
    assert found.start == backbone.start


def test_a_model_that_rescales_its_logits_is_refused(backbone, tmp_path):
    config = Gemma2Config(
        vocab_size=405, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1,
        head_dim=16, final_logit_softcapping=0.01,
    )  # fmt: skip
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="its logits are not its head's output"):
        load_backbone(str(tmp_path))


def test_an_unknown_model_is_one_error_that_names_the_ways():
    with pytest.raises(DataUnavailable, match=r"(?s)'nobody/nothing' is not here.*smollm2-135m, minilm.*a local folder"):
        load_backbone("nobody/nothing")


@pytest.mark.slow
@pytest.mark.xdist_group("smollm2")
def test_the_real_model_is_the_pinned_one(real_backbone):
    assert real_backbone.fingerprint == "f487a54fbfa9dd96"
    assert real_backbone.tokenizer.decode([real_backbone.start]) == "<|endoftext|>"
    assert real_backbone.tokenizer.tokenize("x\n\n12 a") == ["x", "ĊĊ", "1", "2", "Ġa"]
    assert real_backbone.context == 8192
    assert not any(value.requires_grad for value in real_backbone.model.parameters())
