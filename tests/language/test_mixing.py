"""Exact mixing: the spec's oracles on the tiny model."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from lib.language.adapters import Adapter, save_adapter
from lib.language.backbone import tiny_backbone
from lib.language.generation import generate
from lib.language.likelihood import text_likelihood
from lib.language.mixing import Mixer, check_unmixed
from lib.language.training import Recipe, train_anchors
from lib.language.weights import Attributes
from lib.seeds import Seeds

NAMES = [("mood", "+"), ("mood", "-"), ("age", "+"), ("age", "-")]
ATTRIBUTES = Attributes.of(NAMES)


@pytest.fixture
def backbone():
    return tiny_backbone()


def targets(model):
    return {name: module for name, module in model.named_modules() if name.endswith(("q_proj", "k_proj", "v_proj", "o_proj"))}


def adapters_for(backbone, rank=4, alpha=2.0):
    found = {}
    for k, name in enumerate(NAMES):
        generator = Seeds(k).child("adapter").torch()
        factors = {}
        for layer, linear in targets(backbone.model).items():
            shapes = (rank, linear.in_features), (linear.out_features, rank)
            factors[layer] = tuple(torch.randn(shape, generator=generator) / 3 for shape in shapes)
        found[name] = Adapter(factors, alpha, backbone.fingerprint)
    return found


@pytest.fixture
def adapters(backbone):
    return adapters_for(backbone)


@pytest.fixture
def ids():
    return torch.randint(1, 250, (2, 9), generator=Seeds(0).torch())


@pytest.fixture
def mixer(backbone, adapters):
    return Mixer(backbone, adapters)


def weights_of(backbone):
    return {name: module.weight.detach().clone() for name, module in targets(backbone.model).items()}


def error(found, expected):
    """Largest relative error of any layer."""
    return max(float((found[layer] - expected[layer]).norm() / expected[layer].norm()) for layer in expected)


def mixed(backbone, mixer, alpha, attribute="mood"):
    mixer.apply(ATTRIBUTES.mix_weights({attribute: alpha}, extrapolate=True))
    return weights_of(backbone)


def peft_model(backbone, adapters, tmp_path):
    """All adapters in one model of peft's."""
    model = None
    for name, adapter in adapters.items():
        folder = tmp_path / "".join(name).replace("+", "plus").replace("-", "minus")
        save_adapter(adapter, folder)
        if model is None:
            model = PeftModel.from_pretrained(copy.deepcopy(backbone.model), folder, adapter_name=folder.name)
        else:
            model.load_adapter(folder, adapter_name=folder.name)
    return model


@pytest.mark.parametrize(("alpha", "sign"), [(1.0, "+"), (0.0, "-")])
def test_endpoints_equal_base_plus_the_anchors_update(backbone, adapters, mixer, alpha, sign):
    base = weights_of(backbone)
    expected = {layer: base[layer] + adapters["mood", sign].update(layer) for layer in base}
    assert error(mixed(backbone, mixer, alpha), expected) < 1e-6


@pytest.mark.parametrize(("alpha", "sign"), [(1.0, "plus"), (0.0, "minus")])
def test_endpoint_logits_equal_the_single_peft_adapter(backbone, adapters, mixer, ids, tmp_path, alpha, sign):
    model = peft_model(backbone, adapters, tmp_path)
    model.set_adapter(f"mood{sign}")
    mixed(backbone, mixer, alpha)
    torch.testing.assert_close(backbone.model(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-4)


def test_zero_updates_give_the_base_bit_exactly(backbone, adapters, mixer):
    base = weights_of(backbone)
    mixed(backbone, mixer, 0.7)
    mixer.apply(dict.fromkeys(NAMES, 0.0))
    assert all(torch.equal(base[layer], now) for layer, now in weights_of(backbone).items())
    mixer.restore()
    zero = {name: Adapter({k: (a, 0 * b) for k, (a, b) in one.factors.items()}, 2.0, one.base) for name, one in adapters.items()}
    Mixer(backbone, zero).apply(dict.fromkeys(NAMES, 0.25))
    assert all(torch.equal(base[layer], now) for layer, now in weights_of(backbone).items())


def test_merge_then_unmerge_restores_the_base(backbone, mixer, ids):
    state = {key: (value.clone(), value.data_ptr()) for key, value in backbone.model.state_dict().items()}
    logits = backbone.model(ids).logits
    for alpha in (0.3, 1.5, -2.0):
        mixed(backbone, mixer, alpha)
    mixer.restore()
    after = backbone.model.state_dict()
    assert all(torch.equal(value, after[key]) and after[key].data_ptr() == place for key, (value, place) in state.items())
    assert torch.equal(backbone.model(ids).logits, logits)
    mixer.restore()  # once more does no harm


def test_a_thousand_mixes_later_nothing_has_drifted(backbone, mixer):
    first = mixed(backbone, mixer, 0.3)
    for k in range(1000):
        mixer.apply({NAMES[k % 4]: math.sin(k)})
    assert all(torch.equal(first[layer], now) for layer, now in mixed(backbone, mixer, 0.3).items())


@pytest.mark.parametrize("t", [0.5, 0.2, -1.0, 1.7])
def test_every_weight_matrix_is_affine_in_alpha(backbone, mixer, t):
    at = {alpha: mixed(backbone, mixer, alpha) for alpha in (0.0, 1.0, t)}
    assert error(at[t], {layer: (1 - t) * at[0.0][layer] + t * at[1.0][layer] for layer in at[t]}) < 1e-6


def test_logits_are_not_affine_in_alpha(backbone, mixer, ids):
    logits = {}
    for alpha in (0.0, 0.5, 1.0):
        mixed(backbone, mixer, alpha)
        logits[alpha] = backbone.model(ids).logits
    middle = (logits[0.0] + logits[1.0]) / 2
    assert (logits[0.5] - middle).norm() > 0.01 * middle.norm()


class Branches(nn.Module):
    """The official code's way: every adapter's branch is active, its A times the weight."""

    def __init__(self, linear, factors):
        super().__init__()
        self.linear, self.factors = linear, factors

    def forward(self, x):
        return self.linear(x) + sum(scale * ((x @ (w * a).T) @ b.T) for w, scale, a, b in self.factors)


@pytest.mark.parametrize("pair", [(0.3, 0.7), (1.0, 0.0), (1.5, -0.5)])
def test_three_implementations_agree(backbone, adapters, mixer, ids, tmp_path, pair):
    weights = dict(zip(NAMES[:2], pair, strict=True))
    branches = copy.deepcopy(backbone.model)
    for layer, linear in targets(branches).items():
        factors = [(w, adapters[name].scale, *adapters[name].factors[layer]) for name, w in weights.items()]
        branches.set_submodule(layer, Branches(linear, factors))
    model = peft_model(backbone, adapters, tmp_path)
    model.add_weighted_adapter(["moodplus", "moodminus"], list(pair), adapter_name="cat", combination_type="cat")
    model.set_adapter("cat")
    mixer.apply(weights)
    for other in (branches, model):
        torch.testing.assert_close(backbone.model(ids).logits, other(ids).logits, rtol=1e-4, atol=1e-4)
    base = {layer: module.weight.detach() for layer, module in targets(backbone.model).items()}
    mixer.restore()
    plain = weights_of(backbone)
    update = {layer: base[layer] - plain[layer] for layer in base}
    cat = {layer: model.base_model.model.get_submodule(layer).get_delta_weight("cat") for layer in base}
    assert error(update, cat) < 1e-5


@pytest.mark.parametrize(("pair", "wrong"), [((0.3, 0.7), 0.3), ((1.5, -0.5), 0.3), ((1.0, 0.0), None)])
def test_peft_linear_is_wrong_between_the_endpoints(backbone, adapters, tmp_path, pair, wrong):
    model = peft_model(backbone, adapters, tmp_path)
    model.add_weighted_adapter(["moodplus", "moodminus"], list(pair), adapter_name="linear", combination_type="linear")
    expected, found = {}, {}
    for layer in targets(backbone.model):
        expected[layer] = sum(w * adapters[name].update(layer) for name, w in zip(NAMES[:2], pair, strict=True))
        found[layer] = model.base_model.model.get_submodule(layer).get_delta_weight("linear")
    assert error(found, expected) > wrong if wrong else error(found, expected) < 1e-6


@pytest.mark.parametrize(
    ("pair", "rank", "wrong"), [((0.3, 0.7), 8, None), ((1.5, -0.5), 8, None), ((0.3, 0.7), None, 0.05), ((1.0, 0.0), None, None)]
)
def test_peft_svd_is_exact_at_the_sum_of_ranks_and_cut_short_at_its_default(backbone, adapters, tmp_path, pair, rank, wrong):
    """By default peft keeps the rank of one adapter, 4 here, which is enough at an endpoint alone."""
    model = peft_model(backbone, adapters, tmp_path)
    model.add_weighted_adapter(["moodplus", "moodminus"], list(pair), adapter_name="svd", combination_type="svd", svd_rank=rank)
    expected, found = {}, {}
    for layer in targets(backbone.model):
        expected[layer] = sum(w * adapters[name].update(layer) for name, w in zip(NAMES[:2], pair, strict=True))
        found[layer] = model.base_model.model.get_submodule(layer).get_delta_weight("svd")
    assert error(found, expected) > wrong if wrong else error(found, expected) < 1e-5


def test_anchors_trained_with_dropout_are_read_and_written_without(backbone):
    """Twice the same to the bit, and what the dense merged weights say, though half of each branch's inputs were left out."""
    corpora = {("mood", sign): [text] * 20 for sign, text in (("+", "a fine day and a lovely song"), ("-", "the soup was cold"))}
    recipe = Recipe(steps=4, batch=4, block=12, rank=2, lr=2e-2, dropout=0.5, precision="full")
    trained = train_anchors(backbone, corpora, recipe, Seeds(2))
    plain = train_anchors(backbone, corpora, replace(recipe, dropout=0.0), Seeds(2))
    layer = next(iter(targets(backbone.model)))
    assert not torch.allclose(trained["mood", "+"].update(layer), plain["mood", "+"].update(layer)), "dropout was at work"
    dense = replace(backbone, model=copy.deepcopy(backbone.model))
    with torch.no_grad():
        for layer, linear in targets(dense.model).items():
            linear.weight += 0.3 * trained["mood", "+"].update(layer) + 0.7 * trained["mood", "-"].update(layer)
    prompts, texts = ["a fine", "the soup"], ["a fine day", "the soup was cold"]
    Mixer(backbone, trained).apply({("mood", "+"): 0.3, ("mood", "-"): 0.7})
    written = [generate(each, prompts, tokens=8, seeds=Seeds(0), temperature=0) for each in (backbone, backbone, dense)]
    assert written[0] == written[1] == written[2]
    first, second, merged = (text_likelihood(each, texts).nats for each in (backbone, backbone, dense))
    assert torch.equal(first, second)
    torch.testing.assert_close(first, merged, rtol=1e-5, atol=0)


def test_rank_of_the_sum_is_at_most_the_sum_of_ranks(backbone):
    mixer = Mixer(backbone, adapters_for(backbone, rank=2))
    base = weights_of(backbone)
    for count in (1, 2, 4):
        mixer.apply(dict.fromkeys(NAMES[:count], 1 / count))
        for layer, now in weights_of(backbone).items():
            singular = torch.linalg.svdvals((now - base[layer]).double())
            assert int((singular > 1e-5 * singular[0]).sum()) == 2 * count


def test_permuting_the_attributes_changes_nothing(backbone, adapters, mixer):
    weights = ATTRIBUTES.mix_weights({"mood": 0.2, "age": 0.9}, {"mood": 0.7, "age": 0.3})
    mixer.apply(weights)
    first = weights_of(backbone)
    mixer.apply(dict(reversed(weights.items())))
    assert all(torch.equal(first[layer], now) for layer, now in weights_of(backbone).items())
    mixer.restore()
    Mixer(backbone, dict(reversed(adapters.items()))).apply(weights)
    assert error(weights_of(backbone), first) < 1e-6


def test_full_finetuning_average_is_base_plus_weighted_differences(backbone):
    """An adapter of full rank holds any fine-tuned matrix: B = theta_k - theta_0, A = identity."""
    base, generator = weights_of(backbone), Seeds(1).torch()
    tuned = {name: {layer: w + 0.1 * torch.randn(w.shape, generator=generator) for layer, w in base.items()} for name in NAMES}
    # One rank for all layers: 64 wide inputs everywhere in the tiny model.
    adapters = {
        name: Adapter({layer: (torch.eye(w.shape[1]), w - base[layer]) for layer, w in state.items()}, 64.0, backbone.fingerprint)
        for name, state in tuned.items()
    }
    weights = ATTRIBUTES.mix_weights({"mood": 0.3, "age": 0.6}, {"mood": 0.8, "age": 0.2})
    Mixer(backbone, adapters).apply(weights)
    average = {layer: sum(weights[name] * tuned[name][layer] for name in NAMES) for layer in base}
    assert error(weights_of(backbone), average) < 1e-6


def test_adapters_without_a_weight_have_none(backbone, mixer):
    first = mixed(backbone, mixer, 0.3)
    mixer.apply({("mood", "-"): 0.7, ("mood", "+"): 0.3, ("age", "+"): 0.0})
    assert all(torch.equal(first[layer], now) for layer, now in weights_of(backbone).items())


def test_context_manager_restores_also_after_an_error(backbone, adapters):
    base = weights_of(backbone)

    def fail():
        with Mixer(backbone, adapters) as mixer:
            mixer.apply({NAMES[0]: 1.0})
            assert error(weights_of(backbone), base) > 0.01
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert all(torch.equal(base[layer], now) for layer, now in weights_of(backbone).items())
    check_unmixed(backbone.model)


def test_applying_to_a_model_already_merged(backbone, adapters, mixer):
    second = Mixer(backbone, adapters)
    mixer.apply({NAMES[0]: 1.0})
    for call in (lambda: second.apply({NAMES[1]: 1.0}), second.restore, lambda: Mixer(backbone, adapters)):
        with pytest.raises(RuntimeError, match="already merged"):
            call()
    mixer.restore()
    second.apply({NAMES[1]: 1.0})


def test_applying_to_a_model_that_peft_has_changed(backbone, adapters, mixer, tmp_path):
    save_adapter(adapters[NAMES[0]], tmp_path)
    merged = PeftModel.from_pretrained(backbone.model, tmp_path)
    with pytest.raises(RuntimeError, match="adapters of peft"):
        Mixer(backbone, adapters)
    with pytest.raises(RuntimeError, match="adapters of peft"):
        mixer.apply({NAMES[0]: 1.0})
    merged.unload()
    mixer.apply({NAMES[0]: 1.0})


def test_weights_replaced_behind_the_mixers_back(backbone, mixer):
    mixer.apply({NAMES[0]: 1.0})
    layer = next(iter(targets(backbone.model).values()))
    layer.weight.data = layer.weight.data.clone()
    with pytest.raises(RuntimeError, match=r"layer model.layers.0.self_attn.q_proj: its weights were replaced"):
        mixer.apply({NAMES[0]: 1.0})


def test_a_mixer_that_went_out_of_scope_still_blocks_the_model(backbone, adapters):
    Mixer(backbone, adapters).apply({NAMES[0]: 1.0})
    with pytest.raises(RuntimeError, match="already merged"):
        Mixer(backbone, adapters)


def test_unknown_anchor_lists_the_known_ones(mixer):
    with pytest.raises(KeyError, match=r"humour.*'mood', '\+'.*'age', '-'"):
        mixer.apply({("humour", "+"): 1.0})


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite(backbone, mixer, bad):
    base = weights_of(backbone)
    with pytest.raises(ValueError, match=r"weight of \('mood', '-'\): got"):
        mixer.apply({("mood", "+"): 1.0, ("mood", "-"): bad})
    assert all(torch.equal(base[layer], now) for layer, now in weights_of(backbone).items())


def test_adapters_of_another_base_targets_or_shapes(backbone, adapters):
    one = adapters[NAMES[0]]
    with pytest.raises(ValueError, match=r"layer model.layers.0.self_attn.q_proj: the adapters are for base other"):
        Mixer(backbone, {"a": Adapter(one.factors, 2.0, "other")})
    with pytest.raises(ValueError, match=r"layer model.layers.9.x: the model LlamaForCausalLM has no such layer"):
        Mixer(backbone, {"a": Adapter({"model.layers.9.x": (torch.zeros(2, 4), torch.zeros(4, 2))}, 2.0, backbone.fingerprint)})
    layer = next(iter(one.factors))
    with pytest.raises(ValueError, match=rf"layer {layer}: updates of shape \(4, 5\), the weight is \(64, 64\)"):
        Mixer(backbone, {"a": Adapter({layer: (torch.zeros(2, 5), torch.zeros(4, 2))}, 2.0, backbone.fingerprint)})
    shorter = Adapter(dict(list(one.factors.items())[:3]), 2.0, one.base)
    with pytest.raises(ValueError, match=r"layer model.layers.0.self_attn.o_proj: adapter 1 has no factors"):
        Mixer(backbone, {"a": one, "b": shorter})
    with pytest.raises(ValueError, match="adapters: got none"):
        Mixer(backbone, {})


def test_quantised_base_that_cannot_be_merged(backbone, adapters):
    name = next(iter(targets(backbone.model)))
    packed = nn.Module()
    packed.weight = nn.Parameter(torch.zeros(64, 34, dtype=torch.uint8), requires_grad=False)
    backbone.model.set_submodule(name, packed)
    with pytest.raises(ValueError, match=rf"layer {name}: .*torch.uint8 cannot be merged.*de-quantised"):
        Mixer(backbone, adapters)


def test_adapters_trained_by_peft_mix_too(backbone, ids, tmp_path):
    from lib.language.adapters import load_adapter

    config = LoraConfig(r=4, lora_alpha=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
    model = get_peft_model(copy.deepcopy(backbone.model), config)
    model.save_pretrained(tmp_path)
    mixer = Mixer(backbone, {"theirs": load_adapter(tmp_path, backbone.fingerprint)})
    mixer.apply({"theirs": 1.0})
    torch.testing.assert_close(backbone.model(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-4)
