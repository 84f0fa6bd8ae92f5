"""Soups of a real little pool: predictions, scores, distances, and what selections look like on it."""

from dataclasses import replace
from itertools import pairwise

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch

from lib.ensembles.averaging import average
from lib.ensembles.distances import KINDS
from lib.ensembles.embedding import embed
from lib.ensembles.paths import area_under_curve, curve_table, map_points
from lib.ensembles.soups import VARIANTS, Evaluator
from lib.seeds import Seeds


def test_an_evaluator_that_travelled_knows_what_it_knew_and_is_light(evaluator):
    """It is not asked again for soups it has seen, and a batch of predictions is packed once, not once for each row."""
    soups = [(i, j) for i in range(8) for j in range(i)]
    seen = {split: evaluator.classes(soups, split) for split in ("id_val", "ood")}
    alone = len(cloudpickle.dumps(Evaluator(evaluator.pool)))
    packed = cloudpickle.dumps(evaluator)
    assert len(packed) < alone + 1.2 * sum(rows.numel() * rows.element_size() for rows in seen.values())
    other = cloudpickle.loads(packed)
    assert other.distances("weights", soups, "ood").equal(evaluator.distances("weights", soups, "ood"))
    assert other.counts(other.singles, "id_test") == evaluator.counts(evaluator.singles, "id_test")
    other.pool = None  # whatever it still answers, it answers from memory
    assert all(torch.equal(other.classes(soups, split), rows) for split, rows in seen.items())


class TestOracle05PermutedUnits:
    def test_same_function_yet_far_and_their_average_drops(self, pool, permuted):
        """Why a shared start matters: without it units don't match and averages collapse."""
        drops = []
        for seed in range(8):
            twins = torch.stack([pool.flat[0], permuted(pool.flat[0], seed)])
            evaluator = Evaluator(replace(pool, flat=twins, table=pd.DataFrame({"lr": [0, 0]})))
            alone, twin, soup = evaluator.accuracy([(0,), (1,), (0, 1)], "id_test")
            assert alone == twin
            assert evaluator.distances("ratio-error", evaluator.singles, "id_test")[0, 1] == 0
            assert evaluator.distances("weights", evaluator.singles, "id_test")[0, 1] > 1
            drops.append(alone - soup)
        assert np.mean(drops) > 0.02

    def test_averages_of_models_from_one_start_do_not_drop(self, evaluator):
        singles = evaluator.accuracy(evaluator.singles, "id_test")
        assert evaluator.accuracy([tuple(range(8))], "id_test")[0] >= np.mean(singles)


class TestOracle09StackedEvaluation:
    SOUPS = ((0,), (3, 1), (2, 4, 6), (), (7, 0, 5, 1, 2, 3))

    def test_stacked_soups_equal_separate_ones(self, pool, evaluator):
        together = evaluator.logits(self.SOUPS, "id_test")
        for soup, logits in zip(self.SOUPS, together, strict=True):
            flat = average(pool.flat, soup) if soup else pool.theta0
            torch.testing.assert_close(pool.predict(flat[None], "id_test")[0], logits, rtol=0, atol=1e-5)

    def test_counts_are_the_whole_numbers_of_correct_samples(self, pool, evaluator):
        counts = evaluator.counts(self.SOUPS, "ood")
        classes = [pool.predict(evaluator.weights([soup]), "ood")[0].argmax(1) for soup in self.SOUPS]
        separate = [(predicted == pool.labels["ood"]).sum().item() for predicted in classes]
        assert counts == separate
        assert all(type(count) is int for count in counts)
        assert evaluator.accuracy(self.SOUPS, "ood") == [count / 250 for count in counts]

    def test_batches_do_not_show(self, pool):
        alone, all_at_once = (Evaluator(replace(pool, batch=size)) for size in (1, 100))
        assert alone.counts(self.SOUPS, "id_val") == all_at_once.counts(self.SOUPS, "id_val")


class TestEvaluator:
    def test_no_soup_is_evaluated_twice_whatever_the_order_of_members(self, pool):
        asked = []

        def counting(weights, split):
            asked.append(len(weights))
            return pool.predict(weights, split)

        evaluator = Evaluator(replace(pool, predict=counting))
        first = evaluator.counts([(0, 1), (2,), (1, 0)], "id_val")
        assert evaluator.counts([(1, 0), (2,)], "id_val") == first[:2]
        assert first[0] == first[2]
        assert sum(asked) == 2
        evaluator.counts([(2,)], "ood")
        assert sum(asked) == 3

    def test_the_cache_does_not_lower_a_rules_cost(self, evaluator):
        assert evaluator.choose("greedy", "id_val") == evaluator.choose("greedy", "id_val")
        assert evaluator.choose("greedy", "id_val").n_evals == 7

    def test_the_empty_soup_is_the_start(self, pool, evaluator):
        assert torch.equal(evaluator.weights([(), (0,)])[0], pool.theta0)
        assert torch.equal(evaluator.weights([(0,)])[0], pool.flat[0])

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_distance_over_models_and_soups(self, evaluator, kind):
        soups = [(0,), (1,), (0, 1), (2, 3, 4)]
        d = evaluator.distances(kind, soups, "id_val")
        assert d.shape == (4, 4)
        assert (d >= 0).all()
        assert d.max() > 0
        to_soup = evaluator.distance_fn(kind, "id_val")((0, 1), [0, 1])
        assert to_soup == pytest.approx(d[2, :2].tolist(), abs=1e-6)

    def test_weight_distances_of_start_models_and_soups_equal_direct_ones(self, evaluator):
        soups = [(), (0,), (1, 2), (0, 1, 2, 3)]
        direct = torch.cdist(*[evaluator.weights(soups).double()] * 2)
        torch.testing.assert_close(evaluator.distances("weights", soups, "id_val"), direct, rtol=0, atol=1e-5)

    def test_soups_with_repeated_members_need_replacement(self, pool, evaluator):
        with pytest.raises(ValueError, match="model 0 is given more than once"):
            evaluator.counts([(0, 0, 1)], "id_val")
        repeating = Evaluator(pool, replacement=True)
        weights = repeating.weights([(0, 0, 1)])[0]
        torch.testing.assert_close(weights, (2 * pool.flat[0] + pool.flat[1]) / 3)
        chosen = repeating.choose("greedier", "id_val", replacement=True)
        assert chosen.best >= evaluator.choose("greedier", "id_val").curve[1].score


class TestVariants:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_selects_by_whole_counts_on_the_validation_split(self, evaluator, variant):
        chosen = evaluator.choose(variant, "id_val", Seeds(0))
        assert chosen.rule == variant
        assert evaluator.counts([chosen.members], "id_val") == [chosen.best]
        assert all(type(step.score) is int for step in chosen.trace)
        if variant != "uniform":
            assert chosen.best >= max(evaluator.counts(evaluator.singles, "id_val"))

    @pytest.mark.parametrize(("variant", "kind"), [("ranked-d-far", "ratio-error"), ("ranked-e-far", "weights")])
    def test_ranks_by_distance_to_the_current_soup(self, evaluator, variant, kind):
        trace = evaluator.choose(variant, "id_val", force=True).trace
        for before, step in pairwise(trace):
            left = [k for k in range(8) if k not in before.members]
            d = evaluator.distances(kind, [before.members, *((k,) for k in left)], "id_val")[0, 1:]
            assert step.distance == pytest.approx(d.max().item(), abs=1e-6)

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_pitfall_test_and_ood_labels_cannot_change_the_choice(self, pool, evaluator, variant):
        other = dict(pool.labels, id_test=(pool.labels["id_test"] + 1) % 3, ood=(pool.labels["ood"] + 1) % 3)
        relabelled = Evaluator(replace(pool, labels=other))
        assert relabelled.choose(variant, "id_val", Seeds(0)) == evaluator.choose(variant, "id_val", Seeds(0))

    def test_unknown_variant_lists_the_names(self, evaluator):
        with pytest.raises(ValueError, match=f"rule: got 'ranked', allowed are {', '.join(VARIANTS)}"):
            evaluator.choose("ranked", "id_val")


class TestPaths:
    def test_curve_table_has_cost_and_diversity_beside_accuracy(self, evaluator):
        chosen = evaluator.choose("greedier", "id_val", force=True)
        d = evaluator.distances("ratio-error", evaluator.singles, "id_test")
        table = curve_table(evaluator, chosen, ["id_val", "ood"], {"d_D id_test": d})
        measured = ["accuracy id_val", "accuracy ood", "diversity d_D id_test"]
        assert list(table.columns) == ["rule", "size", "added", "n_evals", *measured]
        assert table["size"].tolist() == list(range(1, 9))
        assert table["n_evals"].tolist() == [0, 7, 13, 18, 22, 25, 27, 28]
        assert (table["accuracy id_val"] * 200).round(9).tolist() == [step.score for step in chosen.curve]
        assert table["diversity d_D id_test"].isna().tolist() == [True] + [False] * 7
        assert table["diversity d_D id_test"].iloc[-1] == pytest.approx(d.sum().item() / 56)

    def test_area_keeps_the_last_value(self):
        assert area_under_curve([1, 2], [0.5, 0.7], 4) == pytest.approx((0.5 + 3 * 0.7) / 4)
        assert area_under_curve([1], [0.5], 1) == 0.5

    @pytest.mark.parametrize(
        ("sizes", "values"), [([2, 3], [1.0, 1.0]), ([1, 5], [1.0, 1.0]), ([1, 1], [1.0, 1.0]), ([1], []), ([], [])]
    )
    def test_area_of_sizes_that_do_not_rise_from_one(self, sizes, values):
        with pytest.raises(ValueError, match="sizes: got"):
            area_under_curve(sizes, values, 4)

    def test_one_joint_map_for_all_rules(self, evaluator):
        runs = [evaluator.choose(variant, "id_val", Seeds(0)) for variant in VARIANTS]
        places = map_points(runs, 8)
        assert list(places.values()) == list(range(len(places)))
        assert list(places)[:9] == [*evaluator.singles, ()]
        for run in runs:
            for step in run.curve:
                assert tuple(sorted(step.members)) in places
        found = embed(evaluator.distances("ratio-error", list(places), "id_test"))
        assert found.points.shape == (len(places), 2)


class TestBadInput:
    def test_empty_pool(self, pool):
        with pytest.raises(ValueError, match="empty pool"):
            replace(pool, flat=pool.flat[:0], table=pool.table[:0])

    def test_non_finite_weights_name_the_model(self, pool):
        flat = pool.flat.clone()
        flat[5, 0] = torch.nan
        with pytest.raises(ValueError, match="model 5 has NaN"):
            replace(pool, flat=flat)

    @pytest.mark.parametrize("theta0", [torch.zeros(3), torch.full((131,), torch.inf)])
    def test_start_that_does_not_fit(self, pool, theta0):
        with pytest.raises(ValueError, match=r"theta0: got .* allowed are 131 finite ones"):
            replace(pool, theta0=theta0)

    def test_table_that_does_not_fit(self, pool):
        with pytest.raises(ValueError, match="table: got 3 rows, allowed is one for each of 8 models"):
            replace(pool, table=pool.table[:3])

    def test_empty_validation_set(self, pool):
        with pytest.raises(ValueError, match="labels of 'id_val': got none, the split is empty"):
            replace(pool, labels=dict(pool.labels, id_val=torch.zeros(0, dtype=torch.int64)))

    @pytest.mark.parametrize("label", [-1, 3])
    def test_labels_out_of_range(self, pool, label):
        with pytest.raises(ValueError, match=rf"labels of 'ood': got class {label}, allowed are 0\.\.2"):
            replace(pool, labels=dict(pool.labels, ood=torch.full((250,), label)))

    def test_predictions_of_another_length(self, pool):
        short = Evaluator(replace(pool, labels=dict(pool.labels, id_val=pool.labels["id_val"][:9])))
        with pytest.raises(ValueError, match=r"predict: got \(200, 3\) .* 'id_val', allowed is 9 samples x 3 classes"):
            short.counts([(0,)], "id_val")

    def test_unknown_split_lists_the_names(self, evaluator):
        with pytest.raises(ValueError, match="split: got 'test', allowed are id_val, id_test, ood"):
            evaluator.counts([(0,)], "test")

    def test_unknown_distance_lists_the_names(self, evaluator):
        with pytest.raises(ValueError, match=f"distance: got 'd', allowed are {', '.join(KINDS)}"):
            evaluator.distances("d", evaluator.singles, "id_val")

    def test_predictions_that_are_nan_name_the_soup(self, pool):
        broken = Evaluator(replace(pool, predict=lambda weights, split: torch.full((len(weights), 200, 3), torch.nan)))
        with pytest.raises(RuntimeError, match=r"logits of soup \(0, 1\) on 'id_val' are not finite"):
            broken.counts([(0, 1)], "id_val")

    def test_pool_without_features_or_layers_names_what_a_distance_needs(self, pool):
        bare = Evaluator(replace(pool, features=None, layers=None))
        with pytest.raises(ValueError, match="features: missing"):
            bare.distances("one-minus-cka", bare.singles, "id_val")
        with pytest.raises(ValueError, match="layers: missing"):
            bare.distances("layerwise", bare.singles, "id_val")
