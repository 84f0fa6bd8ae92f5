"""The study end to end at a small size: nothing leaks, seeds decide everything, and the gates of the spec hold."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from lib.data import DOMAINS, tensors
from lib.ensembles import drawing
from lib.ensembles import outcome as soup
from lib.ensembles.domains import Domains, read_domains
from lib.ensembles.experiment import Setup, build_pool, draw_hyperparameters, run_pool
from lib.ensembles.mechanics import connectivity
from lib.ensembles.soups import Evaluator
from lib.explorers.weight_ensembles import Explorer
from lib.nets.vision import BackboneUnavailable, photograph_classifier
from lib.seeds import Seeds

SEEDS = Seeds(5).child("experiment")
SMALL = Setup(
    dataset="digits", net="mlp", activation="relu", backbone="", domains=["clean", "noise", "shift"], n_models=6, width=32,
    pretrain_steps=200, steps=150, batch_size=32, bag=0.3, rates=[1e-3, 2e-3], weight_decays=[1e-4], dropouts=[0.0, 0.1],
    noises=[0.0, 0.1], smoothings=[0.0, 0.1], shared_start=True, members_at_once=256, device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def domains():
    return read_domains("digits", SMALL.domains, SEEDS.child("data"), torch.device("cpu"))


@pytest.fixture(scope="module")
def pool(domains):
    return build_pool(SMALL, domains, "noise", SEEDS)


@pytest.fixture(scope="module")
def result(pool):
    return soup.run_rules(pool, 0, "noise", SEEDS)


def images(part):
    return {tuple(np.round(image.flatten().tolist(), 5)) for image in part[0]}


def test_a_base_image_is_in_one_part_only_whatever_its_domain(domains):
    """The clean copy of every OOD test image must not have been trained on, in any domain."""
    base = {part: images(domains.parts["clean"][part]) for part in ("train", "val", "test")}
    assert not base["train"] & base["test"]
    assert not base["train"] & base["val"]
    assert not base["val"] & base["test"]
    sizes = {name: {part: len(rows) for part, (rows, _) in parts.items()} for name, parts in domains.parts.items()}
    assert len({tuple(parts.items()) for parts in sizes.values()}) == 1
    splits = domains.splits("noise")
    assert torch.equal(splits["ood"][0], domains.parts["noise"]["test"][0])
    assert len(splits["train"][1]) == 2 * sizes["clean"]["train"]


def test_unknown_held_out_domain_is_named(domains):
    with pytest.raises(ValueError, match="held_out: got 'blur', allowed: clean, noise, shift"):
        domains.splits("blur")


def test_domains_are_generated_once_per_seed():
    again = read_domains("digits", ["clean", "noise"], SEEDS.child("data"), torch.device("cpu"))
    same = read_domains("digits", ["clean", "noise"], SEEDS.child("data"), torch.device("cpu"))
    other = read_domains("digits", ["clean", "noise"], SEEDS.child("other"), torch.device("cpu"))
    assert torch.equal(again.parts["noise"]["test"][0], same.parts["noise"]["test"][0])
    assert not torch.equal(again.parts["noise"]["test"][0], other.parts["noise"]["test"][0])


def test_every_domain_of_the_schema_exists():
    from lib.studies.weight_ensembles import GENERATED

    assert set(GENERATED) == set(DOMAINS)


def test_selection_sees_id_validation_only(pool):
    """Every rule gives the same soup when asking for any other split is impossible."""

    def only_validation(flat, split):
        assert split == "id_val", f"a rule looked at {split}"
        return pool.predict(flat, split)

    blind = Evaluator(replace(pool, predict=only_validation))
    seeing = soup.run_rules(pool, 0, "noise", SEEDS)
    for rule, selection in seeing.selections.items():
        assert blind.choose(rule, "id_val", SEEDS.child(rule)).trace == selection.trace


def test_same_seed_same_bits_and_the_grouping_of_members_does_not_matter(domains, pool):
    again = build_pool(SMALL, domains, "noise", SEEDS)
    assert torch.equal(again.flat, pool.flat)
    assert again.table.equals(pool.table)
    grouped = build_pool(replace(SMALL, members_at_once=4), domains, "noise", SEEDS)
    torch.testing.assert_close(grouped.flat, pool.flat, rtol=1e-4, atol=1e-5)
    assert not torch.equal(build_pool(SMALL, domains, "noise", SEEDS.child("other")).flat, pool.flat)


def test_hyperparameters_come_from_the_lists(pool):
    table = draw_hyperparameters(replace(SMALL, n_models=200), SEEDS)
    for column, values in {"lr": SMALL.rates, "noise": SMALL.noises, "dropout": SMALL.dropouts}.items():
        assert set(table[column]) == set(values)


def test_gates_of_the_spec(result):
    """Sequential rules are no worse than the best single model in the score they select by; the uniform soup beats the mean."""
    singles = result.evaluator.counts(result.evaluator.singles, "id_val")
    for rule in soup.SEQUENTIAL:
        chosen = result.selections[rule]
        assert result.evaluator.counts([chosen.members], "id_val")[0] == chosen.best >= max(singles)
    first_added = {rule: next((s.best for s in result.selections[rule].curve[1:2]), 0) for rule in ("greedy", "greedier")}
    assert first_added["greedier"] >= first_added["greedy"]
    table = soup.rule_table(result).set_index("rule")
    assert table.loc["uniform", "id_test"] > table.loc["mean single", "id_test"]
    assert soup.gram_error(result) < 1e-5


def test_measurements_are_finite_and_repeats_are_counted_once(result):
    sample = soup.diversity_sample(result, 3, 20, SEEDS)
    found = soup.measurements(result, sample, SEEDS)
    assert all(np.isfinite(value) for value in found.values())
    assert 0 <= found["paths/convergence"] <= 1
    rows = [(repeat, {"a": repeat + held_out}) for repeat in range(3) for held_out in (0.0, 1.0)]
    assert soup.over_repeats(rows) == {"a": [0.5, 1.5, 2.5]}


def test_a_pair_gives_the_same_in_any_order_and_only_the_first_repeat_keeps_its_pool():
    setup = replace(SMALL, n_models=3, pretrain_steps=20, steps=10)
    one = partial(run_pool, setup=setup, seeds=SEEDS, subset_size=2, random_subsets=5, accept="ge", reference="soup", rerank=True)
    pairs = [(0, "noise"), (0, "shift"), (1, "noise")]
    forward, backward = [one(pair) for pair in pairs], [one(pair) for pair in reversed(pairs)][::-1]
    for pair, a, b in zip(pairs, forward, backward, strict=True):
        assert (a.repeat, a.held_out) == pair
        assert a.measured == b.measured
        assert a.table.equals(b.table)
    assert len({found.measured["mean single/ood"] for found in forward}) == 3
    assert [found.outcome is not None for found in forward] == [True, True, False]
    assert [found.sample is not None for found in forward] == [True, True, False]
    assert forward[1].outcome.held_out == "shift"


def test_the_device_is_decided_where_the_setup_is_made():
    given = {**vars(SMALL), "seed": 0}
    assert Setup.of({**given, "device": "auto"}).device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert Setup.of({**given, "device": "cuda"}).device == "cuda"


def test_convergence_is_held_against_chance(result, domains):
    """Rules replaced by random growth converge no more than chance does."""
    draws = []
    for draw in range(12):
        rng = SEEDS.child("null", draw).numpy()
        random = {}
        for rule in soup.SEQUENTIAL:
            order = (0, *(rng.permutation(5) + 1).tolist())
            steps = tuple(replace(result.selections["greedy"].trace[0], members=order[: i + 1], accepted=True) for i in range(5))
            random[rule] = replace(result.selections["greedy"], rule=rule, members=order[:5], trace=steps)
        null = replace(result, selections=random)
        draws.append(soup.convergence(null) - soup.chance_convergence(null, SEEDS.child(draw)))
    assert abs(np.mean(draws)) < 0.1
    assert soup.chance_convergence(null, SEEDS) > 0.1, "random growth comes together by itself"


def test_summary_counts_repeats_and_gives_half_of_the_interval():
    import pandas as pd
    from scipy import stats

    values = [90.0, 92.0, 97.0]
    table = pd.DataFrame({"held_out": "noise", "rule": "greedy", "id_val": values, "id_test": values, "ood": values, "size": 2,
                          "evaluations": 3, "diversity d_D ood": 1.0, "diversity d_E": 1.0, "area id_test": 91.0})  # fmt: skip
    row = soup.summary(table).loc[("noise", "greedy")]
    assert row["n"] == 3
    assert row["ood"] == pytest.approx(93)
    assert row["ood +-"] == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(values))


def test_area_lies_between_the_worst_and_the_best_soup_of_the_path(result):
    table = soup.rule_table(result).set_index("rule")
    for rule in soup.SEQUENTIAL:
        reached = [100 * a for a in result.evaluator.accuracy([s.members for s in result.selections[rule].curve], "id_test")]
        assert min(reached) - 1e-9 <= table.loc[rule, "area id_test"] <= max(reached) + 1e-9
    assert np.isnan(table.loc["uniform", "area id_test"])


def test_undefined_metrics_are_left_out_not_invented():
    rows = [(0, {"a": 1.0, "b": 2.0}), (1, {"a": 3.0})]
    assert soup.over_repeats(rows) == {"a": [1.0, 3.0], "b": [2.0]}


def test_different_starts_collapse(domains, result):
    """Why the start is shared: averaging networks that started elsewhere falls far below its ingredients."""
    scattered = soup.run_rules(build_pool(replace(SMALL, shared_start=False), domains, "noise", SEEDS), 0, "noise", SEEDS)
    fall = {}
    for name, outcome in {"shared": result, "scattered": scattered}.items():
        table = soup.rule_table(outcome).set_index("rule")["id_test"]
        fall[name] = table["mean single"] - table["uniform"]
    assert fall["shared"] < 0
    assert fall["scattered"] > 20
    pair = scattered.pool.flat[:2]
    curve = connectivity(pair, lambda flat: scattered.pool.predict(flat, "id_test"), scattered.pool.labels["id_test"])
    assert curve.barrier > 0.1


@pytest.mark.parametrize(("activation", "low", "high"), [("gelu", 1.97, 2.03), ("tanh", 1.97, 2.03), ("relu", 1.4, 2.0)])
def test_soup_leaves_the_ensemble_quadratically_where_the_net_is_smooth(domains, activation, low, high):
    """First-order analysis needs smoothness; the kinks of relu lower the exponent."""
    pool = build_pool(replace(SMALL, activation=activation), domains, "noise", SEEDS)
    outcome = soup.run_rules(pool, 0, "noise", SEEDS)
    assert low < soup.soup_against_ensemble(outcome, [t for t in soup.SCALES if t <= soup.SMALL]).slope < high


def test_convnet_and_28_pixel_images_run():
    setup = replace(SMALL, dataset="mnist-5k", net="convnet", width=4, n_models=2, pretrain_steps=2, steps=2)
    seen = read_domains("mnist-5k", setup.domains, SEEDS, torch.device("cpu"))
    assert sum(len(y) for _, y in seen.parts["clean"].values()) == 5000
    pool = build_pool(setup, seen, "shift", SEEDS)
    assert pool.predict(pool.flat, "ood").shape[::2] == (2, 10)


class TestFirstStepsOfPaperSize:
    """The paper's size needs a GPU and Office-Home; its code runs here on a small ResNet and made-up photographs."""

    @pytest.fixture
    def backbone(self, tmp_path_factory):
        from transformers import ResNetConfig, ResNetModel

        folder = tmp_path_factory.mktemp("backbone")
        config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        with torch.random.fork_rng():
            ResNetModel(config).save_pretrained(folder)
        return str(folder)

    @pytest.fixture
    def photographs(self):
        rng = SEEDS.child("photographs").numpy()
        names, n = ("Art", "Clipart", "Product"), {"train": 24, "val": 10, "test": 12}

        def part(count):
            return torch.from_numpy(rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)), torch.arange(count) % 5

        return Domains({name: {k: part(c) for k, c in n.items()} for name in names}, 5, generated=False)

    def test_steps_rules_and_numbers(self, backbone, photographs):
        from lib.studies import find

        paper = find("weight-ensembles").size_params("paper")
        setup = replace(
            Setup.of(paper.model_dump()), backbone=backbone, n_models=3, pretrain_steps=2, steps=2, batch_size=8, device="cpu"
        )
        pool = build_pool(setup, photographs, "Product", SEEDS)
        assert not torch.equal(pool.flat[0], pool.flat[1])
        assert len(pool.labels["ood"]) == 46, "the held-out domain is used whole"
        outcome = soup.run_rules(pool, 0, "Product", SEEDS)
        assert set(soup.rule_table(outcome)["rule"]) >= set(soup.SEQUENTIAL)
        sample = soup.diversity_sample(outcome, 2, 10, SEEDS)
        found = soup.measurements(outcome, sample, SEEDS)
        assert np.isfinite(found["mechanics/slope_minus_two"]), "float64 through a float32 backbone"
        drawing.draw_domains(photographs)
        drawing.draw_id_ood(outcome)
        explorer = Explorer({"Product": outcome}, SEEDS)
        assert "1 - linear CKA, ID test" not in explorer.distances, "the backbone offers no features"
        assert explorer.frame(explorer.first).ingredients.shape == (3, 2)

    def test_head_is_probed_on_frozen_features(self, backbone, photographs):
        from lib.studies import find

        paper = find("weight-ensembles").size_params("paper")
        setup = replace(
            Setup.of(paper.model_dump()), backbone=backbone, n_models=2, pretrain_steps=3, steps=1, batch_size=8, device="cpu"
        )
        before = photograph_classifier(backbone, 5, SEEDS.child("init", 0))
        pool = build_pool(setup, photographs, "Product", SEEDS)
        body = torch.cat([v.detach().flatten() for n, v in before.named_parameters() if n.startswith("backbone")])
        head = torch.cat([v.detach().flatten() for n, v in before.named_parameters() if n.startswith("head")])
        assert torch.equal(pool.theta0[: len(body)], body)
        assert not torch.equal(pool.theta0[len(body) :], head)

    def test_missing_backbone_is_one_clear_error(self, tmp_path):
        with pytest.raises(BackboneUnavailable, match="Ways to get it"):
            photograph_classifier(str(tmp_path / "nowhere"), 5, SEEDS)


def test_cuda_is_refused_where_there_is_none():
    if torch.cuda.is_available():
        pytest.skip("there is one here")
    with pytest.raises(ValueError, match="device: got 'cuda'"):
        _ = replace(SMALL, device="cuda").where


def test_tensors_and_domains_agree(domains):
    pictures, labels = tensors("digits")
    assert sum(len(y) for _, y in domains.parts["clean"].values()) <= len(labels)
    assert domains.n_classes == 10
    assert pictures.shape[1:] == (8, 8)
