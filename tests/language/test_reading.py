"""The faster model: the same up to rounding, in the same memory, and mixed apart."""

import pytest
import torch

from lib.language.backbone import fingerprint, tiny_backbone
from lib.language.generation import generate
from lib.language.lanes import FrozenLinear
from lib.language.likelihood import text_likelihood
from lib.language.mixing import Mixer
from lib.language.reading import reader
from lib.language.training import Recipe, train_anchors
from lib.seeds import Seeds

TEXTS = ["the old farmer walked slowly to the harbour", "nobody came, the rain fell and the soup was cold"] * 4
SEEDS = Seeds(2).child("reading")


@pytest.fixture(scope="module")
def adapter():
    return train_anchors(tiny_backbone(), {"a": TEXTS}, Recipe(steps=2, batch=2, block=8, precision="full"), SEEDS)["a"]


def test_in_full_it_is_the_same_model(backbone):
    full = reader(backbone, "full")
    assert torch.equal(text_likelihood(full, TEXTS).nats, text_likelihood(backbone, TEXTS).nats)
    assert fingerprint(full.model) == full.fingerprint == backbone.fingerprint


def test_rounded_it_is_nearly_the_same(backbone):
    rough, full = text_likelihood(reader(backbone, "bfloat16"), TEXTS), text_likelihood(backbone, TEXTS)
    torch.testing.assert_close(rough.nats, full.nats, rtol=0.01, atol=0.0)
    assert not torch.equal(rough.nats, full.nats)
    assert generate(reader(backbone, "bfloat16"), TEXTS[:2], tokens=4, seeds=SEEDS) != ["", ""]


def test_what_mixes_change_is_in_full_and_shares_memory(backbone):
    rough = reader(backbone, "bfloat16").model
    for name, module in rough.named_modules():
        if name.endswith("_proj") and "self_attn" in name:
            assert module.weight.dtype == torch.float32
            assert module.weight.data_ptr() == backbone.model.get_submodule(name).weight.data_ptr()
    assert isinstance(rough.get_output_embeddings(), FrozenLinear)
    assert rough.get_input_embeddings().weight.data_ptr() == backbone.model.get_input_embeddings().weight.data_ptr()


@pytest.mark.parametrize("precision", ["full", "bfloat16"])
def test_a_mix_in_one_leaves_the_other(backbone, adapter, precision):
    fast = reader(backbone, precision)
    base = text_likelihood(backbone, TEXTS).nats
    with Mixer(fast, {"a": adapter}) as mixer:
        mixer.apply({"a": 3.0})
        assert not torch.equal(text_likelihood(fast, TEXTS).nats, base)
        assert torch.equal(text_likelihood(backbone, TEXTS).nats, base)
        with pytest.raises(RuntimeError, match="already merged"):
            reader(fast)
    assert fingerprint(backbone.model) == backbone.fingerprint
