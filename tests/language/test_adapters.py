"""Adapters as values: checks and peft's files."""

import copy
import json
import math

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from lib.language.adapters import Adapter, check_same_base, load_adapter, save_adapter
from lib.language.backbone import tiny_backbone
from lib.seeds import Seeds

Q, V = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj"
SHAPES = {Q: (10, 6), V: (4, 6)}


def adapter(seed, rank=2, alpha=6.0, shapes=SHAPES, base="abc", **meta):
    generator = Seeds(seed).child("adapter").torch()
    factors = {
        layer: (torch.randn(rank, i, generator=generator), torch.randn(o, rank, generator=generator) / 10)
        for layer, (o, i) in shapes.items()
    }
    return Adapter(factors, alpha, base, meta)


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone()


@pytest.fixture(scope="module")
def ids(backbone):
    return torch.randint(1, 250, (2, 9), generator=Seeds(0).torch())


def fitting(backbone, seed, rank=3):
    layers = {
        name: tuple(module.weight.shape) for name, module in backbone.model.named_modules() if name.endswith(("q_proj", "o_proj"))
    }
    return adapter(seed, rank, 5.0, layers, backbone.fingerprint, recipe={"steps": 3})


def test_scale_is_lora_alpha_over_rank():
    one = adapter(0, rank=4, alpha=6.0)
    assert one.rank == 4
    assert one.scale == 1.5
    layer = next(iter(one.factors))
    a, b = one.factors[layer]
    torch.testing.assert_close(one.update(layer), 1.5 * b @ a)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (adapter(1, base="xyz"), f"layer {Q}: adapter 1 was trained on base xyz, adapter 0 on abc"),
        (adapter(1, rank=3), rf"layer {Q}: adapter 1 has a factor of shape \(3, 6\), adapter 0 \(2, 6\)"),
        (adapter(1, shapes=SHAPES | {V: (5, 6)}), rf"layer {V}: .*\(5, 2\)"),
        (adapter(1, shapes=SHAPES | {"model.layers.1.mlp": (4, 6)}), r"layer model\.layers\.1\.mlp: adapter 0 has no factors"),
        (adapter(1, shapes={Q: (10, 6)}), f"layer {V}: adapter 1 has no factors"),
    ],
    ids=["base", "rank", "shape", "additional target", "missing target"],
)
def test_different_base_fingerprint_shapes_or_targets_name_the_layer(other, message):
    with pytest.raises(ValueError, match=message):
        check_same_base([adapter(0), other])


def test_no_adapters():
    with pytest.raises(ValueError, match="adapters: got none"):
        check_same_base([])
    with pytest.raises(ValueError, match="factors: got no layers"):
        Adapter({}, 1.0, "abc")


def test_factors_that_do_not_fit_one_another():
    with pytest.raises(ValueError, match="layer x: factors of shapes"):
        Adapter({"x": (torch.zeros(2, 3), torch.zeros(4, 3))}, 1.0, "abc")
    with pytest.raises(ValueError, match=r"layer y: factors of shapes .* rank r = 2"):
        Adapter({"x": (torch.zeros(2, 3), torch.zeros(4, 2)), "y": (torch.zeros(1, 3), torch.zeros(4, 1))}, 1.0, "abc")


def test_factors_that_are_not_finite():
    with pytest.raises(ValueError, match="layer x: the adapter's factors are not finite"):
        Adapter({"x": (torch.zeros(2, 3), torch.full((4, 2), math.nan))}, 1.0, "abc")


def test_peft_loads_what_we_save(backbone, ids, tmp_path):
    one = fitting(backbone, 1)
    save_adapter(one, tmp_path, backbone.name)
    loaded = PeftModel.from_pretrained(copy.deepcopy(backbone.model), tmp_path)
    merged = copy.deepcopy(backbone.model)
    for layer in one.factors:
        merged.get_submodule(layer).weight.data += one.update(layer)
    torch.testing.assert_close(loaded(ids).logits, merged(ids).logits, rtol=1e-4, atol=1e-5)
    assert (loaded(ids).logits - backbone.model(ids).logits).abs().max() > 1e-2
    assert loaded.peft_config["default"].base_model_name_or_path == "tiny"


def test_we_load_what_peft_saved(backbone, tmp_path):
    config = LoraConfig(r=4, lora_alpha=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(copy.deepcopy(backbone.model), config)
    model.save_pretrained(tmp_path)
    one = load_adapter(tmp_path, backbone.fingerprint)
    assert (one.rank, one.scale, one.base, len(one.factors)) == (4, 0.5, backbone.fingerprint, 4)
    for layer in one.factors:
        delta = model.base_model.model.get_submodule(layer).get_delta_weight("default")
        torch.testing.assert_close(one.update(layer), delta)


def test_saving_and_loading_keeps_every_bit(backbone, tmp_path):
    one = fitting(backbone, 2)
    save_adapter(one, tmp_path)
    two = load_adapter(tmp_path, backbone.fingerprint)
    assert (two.lora_alpha, two.base, two.meta) == (one.lora_alpha, one.base, one.meta)
    for layer, (a, b) in one.factors.items():
        assert torch.equal(a, two.factors[layer][0])
        assert torch.equal(b, two.factors[layer][1])
    check_same_base([one, two])


def test_loading_for_another_base_or_for_none(backbone, tmp_path):
    save_adapter(fitting(backbone, 2), tmp_path / "ours")
    with pytest.raises(ValueError, match=f"trained on base {backbone.fingerprint}, allowed is the fingerprint asked for, other"):
        load_adapter(tmp_path / "ours", "other")
    get_peft_model(copy.deepcopy(backbone.model), LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "peft")
    with pytest.raises(ValueError, match="trained on base None"):
        load_adapter(tmp_path / "peft")


@pytest.mark.parametrize(
    "setting",
    [{"use_rslora": True}, {"use_dora": True}, {"bias": "all"}, {"rank_pattern": {"q_proj": 1}}, {"alpha_pattern": {"q_proj": 1}},
     {"modules_to_save": ["lm_head"]}, {"peft_type": "IA3"}],
)  # fmt: skip
def test_a_setting_under_which_the_update_is_another(backbone, tmp_path, setting):
    save_adapter(fitting(backbone, 2), tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | setting))
    with pytest.raises(ValueError, match=next(iter(setting))):
        load_adapter(tmp_path)


def test_a_factor_without_its_partner(backbone, tmp_path):
    from safetensors.torch import load_file, save_file

    save_adapter(fitting(backbone, 2), tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    gone = "base_model.model.model.layers.1.self_attn.o_proj.lora_B.weight"
    save_file({key: value for key, value in tensors.items() if key != gone}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=r"layer model.layers.1.self_attn.o_proj: factor B is missing"):
        load_adapter(tmp_path, "x")
    save_file({"base_model.model.model.embed_tokens.lora_embedding_A": torch.zeros(2, 2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ValueError, match="no factor of a linear layer"):
        load_adapter(tmp_path, "x")
