"""Anchors trained side by side: equal to one after another and to a plain peft loop; kept in the cache."""

import copy
import math
import re
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional as F

from lib.language import training
from lib.language.adapters import load_adapter, save_adapter
from lib.language.anchors import anchors
from lib.language.backbone import fingerprint, load_backbone, tiny_backbone
from lib.language.geometry import gram
from lib.language.lanes import LaneLinear, Lanes, TokenLoss
from lib.language.mixing import Mixer
from lib.language.training import Recipe, blocks_of, train_anchors
from lib.population.streams import Order
from lib.seeds import Seeds

SEEDS = Seeds(3).child("test")
RECIPE = Recipe(steps=6, batch=3, block=12, rank=2, lora_alpha=6.0, lr=1e-2, precision="full")
CORPORA = {
    ("mood", "+"): ["the garden was full of light and every child laughed", "a fine day, and what a lovely song"] * 12,
    ("mood", "-"): ["nobody came, the rain fell and the soup was cold", "what a dreadful noise, the worst of all"] * 9,
    ("age", "+"): ["it came to pass in those days", "hear me, o king, for I am weary", "who is this stranger?"] * 10,
}


@pytest.fixture(scope="module")
def backbone():
    """In float64, since AdamW blows rounding up where a gradient is nearly zero."""
    return double()


def double():
    made = tiny_backbone()
    made.model.double()
    return replace(made, fingerprint=fingerprint(made.model))


@pytest.fixture(scope="module")
def trained(backbone):
    return train_anchors(backbone, CORPORA, RECIPE, SEEDS)


def close(first, second, tolerance=1e-5):
    for layer, factors in first.factors.items():
        for mine, theirs in zip(factors, second.factors[layer], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)
    return True


def same(first, second):
    return all(
        torch.equal(a, b) for layer in first.factors for a, b in zip(first.factors[layer], second.factors[layer], strict=True)
    )


def test_side_by_side_equals_one_after_another(backbone, trained):
    for name, texts in CORPORA.items():
        (alone,) = train_anchors(backbone, {name: texts}, RECIPE, SEEDS).values()
        assert close(trained[name], alone)
        assert trained[name].meta["losses"] == pytest.approx(alone.meta["losses"], abs=1e-5)


def peft_loop(backbone, name, seeds):
    """What a user would write, from the same start with the same data."""
    config = LoraConfig(r=RECIPE.rank, lora_alpha=RECIPE.lora_alpha, target_modules=list(RECIPE.targets), task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(backbone.model), config)
    model.to(backbone.model.dtype)
    node = seeds.child("anchor", *name)
    for layer, module in model.named_modules():
        if hasattr(module, "lora_A"):
            a = module.lora_A["default"].weight
            start = torch.rand(a.shape, generator=node.child("init", layer.removeprefix("base_model.model.")).torch())
            a.data = ((2 * start - 1) / math.sqrt(a.shape[1])).to(a)
    rows, losses = blocks_of(CORPORA[name], backbone, RECIPE.block), []
    order = Order(torch.arange(len(rows)), node)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RECIPE.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: RECIPE.lr_at(step) / RECIPE.lr)
    for _ in range(RECIPE.steps):
        ids = rows[order.take(RECIPE.batch)]
        loss = model(input_ids=ids, labels=ids).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return model, losses


@pytest.mark.parametrize("name", list(CORPORA))
def test_equal_to_a_plain_peft_loop(backbone, trained, name, tmp_path):
    model, losses = peft_loop(backbone, name, SEEDS)
    model.save_pretrained(tmp_path)
    assert close(trained[name], load_adapter(tmp_path, backbone.fingerprint))
    assert trained[name].meta["losses"] == pytest.approx(losses, abs=1e-5)


def test_another_lane_does_not_touch_mine(backbone):
    lanes = Lanes(backbone.model, RECIPE.targets, 2, 3.0, torch.float64, [SEEDS.child(k) for k in range(3)])
    for layer in lanes.branches.values():
        layer.b.data.normal_(generator=SEEDS.torch())
    ids = torch.randint(0, 250, (3, 2, 8), generator=SEEDS.torch())
    lanes.losses(ids)[1].backward()
    for layer in lanes.branches.values():
        for factor in (layer.a, layer.b):
            touched = factor.grad.flatten(1).abs().amax(1)
            assert touched[1] > 0
            assert touched[0] == touched[2] == 0


def test_losses_are_summed_so_that_each_gradient_is_its_own(backbone):
    ids = torch.randint(0, 250, (2, 2, 8), generator=SEEDS.torch())
    gradients = []
    for lanes, rows in ((2, ids), (1, ids[:1])):
        model = Lanes(backbone.model, ("q_proj",), 2, 1.0, torch.float64, [SEEDS.child(k) for k in range(lanes)])
        for layer in model.branches.values():
            layer.b.data.fill_(0.1)
        training._backward(model, rows)
        gradients.append([layer.b.grad[0] for layer in model.branches.values()])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tokens", [40, 80])  # parts of a batch; groups of lanes
def test_what_fits_in_memory_changes_nothing(backbone, trained, tokens, monkeypatch):
    monkeypatch.setattr(training, "TOKENS_AT_ONCE", tokens)
    again = train_anchors(backbone, CORPORA, RECIPE, SEEDS)
    assert all(close(trained[name], again[name]) for name in CORPORA)


def test_same_seed_same_bits_and_another_name_or_seed_another_anchor(backbone, trained):
    name = ("mood", "+")
    again = train_anchors(backbone, CORPORA, RECIPE, SEEDS)
    assert all(same(trained[name], again[name]) for name in CORPORA)
    renamed = train_anchors(backbone, {"mood": CORPORA[name]}, RECIPE, SEEDS)["mood"]
    reseeded = train_anchors(backbone, {name: CORPORA[name]}, RECIPE, Seeds(4))[name]
    assert not same(trained[name], renamed)
    assert not same(trained[name], reseeded)


def test_the_process_generator_is_left_alone(backbone):
    before = torch.get_rng_state()
    train_anchors(backbone, {"a": CORPORA["mood", "+"]}, RECIPE, SEEDS)
    assert torch.equal(before, torch.get_rng_state())


def test_the_base_stays_as_it_is(backbone):
    before = {key: value.clone() for key, value in backbone.model.state_dict().items()}
    pointers = {key: value.data_ptr() for key, value in backbone.model.state_dict().items()}
    train_anchors(backbone, {"a": CORPORA["mood", "+"]}, RECIPE, SEEDS)
    after = backbone.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(before[key], after[key]) and pointers[key] == after[key].data_ptr() for key in before)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in backbone.model.parameters())
    assert all(type(module) is not LaneLinear for module in backbone.model.modules())


def test_an_anchor_learns_its_corpus(backbone):
    recipe = Recipe(steps=30, block=12, lr=1e-2, precision="full")
    ours, other = CORPORA["mood", "+"], CORPORA["age", "+"]
    adapter = train_anchors(backbone, {"a": ours}, recipe, SEEDS)["a"]

    def nll(texts):
        ids = blocks_of(texts, backbone, 12)
        return float(backbone.model(input_ids=ids, labels=ids).loss)

    before = nll(ours), nll(other)
    with torch.no_grad(), Mixer(backbone, {"a": adapter}) as mixer:
        mixer.apply({"a": 1.0})
        after = nll(ours), nll(other)
    assert after[0] < before[0] - 0.5
    assert after[0] - before[0] < after[1] - before[1]


def test_bfloat16_products_lead_to_nearly_the_same_anchor(backbone, trained):
    rough = train_anchors(backbone, CORPORA, Recipe(**{**vars(RECIPE), "precision": "bfloat16"}), SEEDS)
    for name in CORPORA:
        assert gram({0: trained[name], 1: rough[name]}).cosines()[0, 1] > 0.98
        assert all(factor.dtype == torch.float64 for pair in rough[name].factors.values() for factor in pair)
        assert rough[name].meta["recipe"]["precision"] == "bfloat16"


def test_auto_precision_says_what_it_took(backbone):
    adapter = train_anchors(backbone, {"a": CORPORA["mood", "+"]}, Recipe(steps=1, block=12), SEEDS)["a"]
    assert adapter.meta["recipe"]["precision"] == Recipe().resolved(backbone).precision != "auto"


def test_token_loss_is_cross_entropy_and_so_is_its_gradient():
    generator = SEEDS.torch()
    h = torch.randn(300, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    head = torch.randn(40, 16, generator=generator, dtype=torch.float64)
    y, upstream = torch.randint(0, 40, (300,), generator=generator), torch.rand(300, generator=generator, dtype=torch.float64)
    expected = F.cross_entropy(h @ head.T, y, reduction="none")
    (gradient,) = torch.autograd.grad(expected, h, upstream)
    found = TokenLoss.apply(h, head, y)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, h, upstream)[0], gradient)


def test_lane_linear_starts_as_peft_does():
    layer = LaneLinear(nn.Linear(64, 32), torch.float32, 4, 2.0, [SEEDS.child(k) for k in range(50)])
    assert not layer.b.any()
    assert layer.a.abs().max() <= 1 / 8  # kaiming_uniform_(a=sqrt(5)): bound 1 / sqrt(in)
    assert float(layer.a.detach().std()) == pytest.approx(1 / 8 / math.sqrt(3), rel=0.03)


def test_blocks_hold_every_token_once_behind_start_tokens(backbone):
    texts = ["one two three", "four", "five six"]
    rows = blocks_of(texts, backbone, 4)
    expected = [token for text in texts for token in (backbone.start, *backbone.encode([text])[0])]
    assert rows.flatten().tolist() == expected[: len(expected) // 4 * 4]


def test_every_block_is_seen_once_an_epoch(backbone):
    order = Order(torch.arange(7), SEEDS)
    assert sorted(torch.cat([order.take(3), order.take(4)]).tolist()) == list(range(7))


def test_learning_rate_rises_then_falls_to_zero():
    recipe = Recipe(lr=1.0, steps=10, warmup=4)
    assert [recipe.lr_at(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    falling = [recipe.lr_at(step) for step in range(4, 10)]
    assert falling == pytest.approx([1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert Recipe(lr=1.0, steps=2, warmup=0).lr_at(1) == 0.5


def test_progress_rises_to_one(backbone, monkeypatch):
    monkeypatch.setattr(training, "TOKENS_AT_ONCE", 80)
    told = []
    train_anchors(backbone, CORPORA, RECIPE, SEEDS, told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert len(told) == 2 * RECIPE.steps


@pytest.mark.parametrize(
    "wrong",
    [{"rank": 0}, {"steps": 0}, {"batch": 0}, {"block": 1}, {"warmup": -1}, {"lr": 0.0}, {"lr": math.nan}, {"lora_alpha": -1.0},
     {"precision": "half"}, {"targets": ()}],
)  # fmt: skip
def test_recipe_names_the_wrong_field(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: got"):
        Recipe(**wrong)


def test_empty_corpus(backbone):
    with pytest.raises(ValueError, match="anchor 'a': corpus: got no texts"):
        train_anchors(backbone, {"a": []}, RECIPE, SEEDS)
    with pytest.raises(ValueError, match=r"anchor 'b': corpus: 1 texts of .* tokens, allowed are at least 12"):
        train_anchors(backbone, {"a": CORPORA["mood", "+"], "b": ["short"]}, RECIPE, SEEDS)
    with pytest.raises(ValueError, match="corpora: got none"):
        train_anchors(backbone, {}, RECIPE, SEEDS)


def test_unknown_target(backbone):
    with pytest.raises(ValueError, match="targets: got c_attn, allowed are"):
        train_anchors(backbone, {"a": CORPORA["mood", "+"]}, Recipe(targets=("q_proj", "c_attn"), block=12), SEEDS)


def test_a_loss_that_is_not_finite_names_the_anchor():
    broken = double()
    broken.model.model.norm.weight.data[0] = math.nan
    with pytest.raises(FloatingPointError, match="anchor 'a': the loss is nan at step 0"):
        train_anchors(broken, {"a": CORPORA["mood", "+"]}, RECIPE, SEEDS)


def test_training_on_a_model_that_is_merged(backbone, trained):
    with Mixer(backbone, trained) as mixer:
        mixer.apply({("mood", "+"): 1.0})
        with pytest.raises(RuntimeError, match="already merged"):
            train_anchors(backbone, CORPORA, RECIPE, SEEDS)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIES_CACHE", str(tmp_path))
    return tmp_path / "artefacts"


def test_anchors_come_from_the_cache_and_only_the_absent_are_trained(backbone, trained, cache, capsys):
    two = dict(list(CORPORA.items())[:2])
    first = anchors(backbone, two, RECIPE, SEEDS)
    assert all(close(first[name], trained[name]) for name in two)
    stamps = {path: path.stat().st_mtime_ns for path in cache.glob("anchor-*/*.safetensors")}
    assert len(stamps) == 2
    assert set(re.findall(r"building (.*?) \(about \d+ s, once\)", capsys.readouterr().out)) == {"2 anchors"}
    again = anchors(backbone, CORPORA, RECIPE, SEEDS)
    assert set(re.findall(r"building (.*?) \(about \d+ s, once\)", capsys.readouterr().out)) == {"anchor age +"}
    assert list(again) == list(CORPORA)
    assert all(same(first[name], again[name]) for name in two)
    assert close(again["age", "+"], trained["age", "+"])
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert len(list(cache.glob("anchor-*"))) == 3
    anchors(backbone, CORPORA, RECIPE, SEEDS)
    assert capsys.readouterr().out == ""


def test_another_text_recipe_or_seed_is_another_anchor(backbone, cache):
    name, texts = "a", CORPORA["mood", "+"]
    short = Recipe(**{**vars(RECIPE), "steps": 1})
    for corpus, recipe, seeds in (
        (texts, short, SEEDS),
        ([*texts, "more"], short, SEEDS),
        (texts, Recipe(**{**vars(short), "lr": 0.02}), SEEDS),
        (texts, short, SEEDS.child(1)),
    ):
        anchors(backbone, {name: corpus}, recipe, seeds)
    anchors(backbone, {name: texts}, short, SEEDS)
    assert len(list(cache.glob("anchor-*"))) == 4


def test_a_damaged_anchor_is_trained_again_alone(backbone, trained, cache):
    anchors(backbone, CORPORA, RECIPE, SEEDS)
    files = sorted(cache.glob("anchor-*/*.safetensors"))
    files[0].write_bytes(b"damaged")
    whole = {path: path.stat().st_mtime_ns for path in files[1:]}
    again = anchors(backbone, CORPORA, RECIPE, SEEDS)
    assert all(close(again[name], trained[name]) for name in CORPORA)
    assert {path: path.stat().st_mtime_ns for path in files[1:]} == whole


def test_meta_survives_the_files(trained, tmp_path):
    adapter = trained["mood", "+"]
    save_adapter(adapter, tmp_path)
    assert load_adapter(tmp_path).meta == adapter.meta
    assert len(adapter.meta["losses"]) == RECIPE.steps
    assert adapter.meta["recipe"]["lr"] == RECIPE.lr


@pytest.mark.slow
def test_bfloat16_anchors_of_the_real_model_are_as_good_as_float32():
    """Three steps of the real model in both precisions: the updates point the same way, the losses fall alike."""
    from lib.data.errors import DataUnavailable

    try:
        real = load_backbone()
    except DataUnavailable as error:
        pytest.skip(f"the real model is not here: {error}")
    found = {
        p: train_anchors(real, {"a": CORPORA["mood", "+"]}, Recipe(steps=3, batch=2, block=16, precision=p), SEEDS)["a"]
        for p in ("full", "bfloat16")
    }
    assert gram(found).cosines()[0, 1] > 0.7
    full, rough = (adapter.meta["losses"] for adapter in found.values())
    assert full[0] == pytest.approx(rough[0], abs=0.02)
    assert full[-1] == pytest.approx(rough[-1], abs=0.15)
    assert max(full[-1] - full[0], rough[-1] - rough[0]) < -0.4


def test_dropout_thins_each_lane_from_its_own_node_and_keeps_the_mean(backbone):
    linear = nn.Linear(8, 4, bias=False).double()
    lane = LaneLinear(linear, torch.float64, 2, 1.0, [SEEDS.child(k) for k in range(2)], dropout=0.25)
    again = LaneLinear(linear, torch.float64, 2, 1.0, [SEEDS.child(1)], dropout=0.25)
    rows = torch.ones(2, 4000, 8, dtype=torch.float64)
    thinned = lane._thinned(rows)
    assert torch.equal(thinned[1], again._thinned(rows[1:])[0])  # whoever is trained beside it
    assert not torch.equal(thinned[0], thinned[1])
    assert set(thinned.unique().tolist()) == {0.0, 4 / 3}
    assert thinned.mean().item() == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(lane._thinned(rows), thinned)  # drawn anew at every pass


def test_dropout_is_part_of_the_recipe(backbone):
    with_, without = (train_anchors(backbone, CORPORA, replace(RECIPE, dropout=p), SEEDS) for p in (0.5, 0.0))
    assert not same(with_["mood", "+"], without["mood", "+"])
    alone = train_anchors(backbone, {("mood", "+"): CORPORA["mood", "+"]}, replace(RECIPE, dropout=0.5), SEEDS)
    close(alone["mood", "+"], with_["mood", "+"])
    with pytest.raises(ValueError, match=r"dropout: got 1\.0"):
        replace(RECIPE, dropout=1.0)
