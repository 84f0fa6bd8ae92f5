"""Why averaging works: exact identities on quadratic losses and linear models, and the real little pool."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.ensembles.averaging import mix
from lib.ensembles.distances import pair_correlation
from lib.ensembles.mechanics import (
    bias_variance_covariance,
    connectivity,
    ensemble_gap,
    pair_gains,
    prediction_ensemble,
    sample_subsets,
)
from lib.ensembles.soups import Evaluator
from lib.seeds import Seeds


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=Seeds(seed).torch(), dtype=torch.float64)


class TestOracle12QuadraticLoss:
    @given(st.integers(0, 1000))
    @settings(max_examples=40)
    def test_gain_of_a_pair_is_an_eighth_of_the_squared_distance_in_h(self, seed):
        flat, root = randn(2, 6, seed=seed), randn(6, 6, seed=seed + 1)
        hessian = root @ root.T
        loss_i, loss_j, loss_mean = (0.5 * x @ hessian @ x for x in (*flat, mix(flat, torch.tensor([[0.5, 0.5]]))[0]))
        apart = flat[0] - flat[1]
        torch.testing.assert_close(loss_mean, (loss_i + loss_j) / 2 - apart @ hessian @ apart / 8)

    def test_gain_grows_with_squared_distance(self):
        hessian, centre, direction = torch.diag(torch.arange(1.0, 5.0).double()), randn(4), randn(4, seed=1)
        gains = []
        for t in (1.0, 2.0, 3.0):
            ends = torch.stack([centre - t * direction, centre + t * direction])
            ends = torch.cat([ends, mix(ends, torch.tensor([[0.5, 0.5]]))])
            loss = 0.5 * (ends @ hessian * ends).sum(1)
            gains.append(((loss[0] + loss[1]) / 2 - loss[2]).item())
        assert gains == pytest.approx([gains[0], 4 * gains[0], 9 * gains[0]])


class TestConnectivity:
    def test_models_of_one_start_are_connected(self, pool):
        path = connectivity(pool.flat[:2], lambda w: pool.predict(w, "id_test"), pool.labels["id_test"], n_points=11)
        ends = Evaluator(pool).accuracy([(0,), (1,)], "id_test")
        assert [path.accuracy[0], path.accuracy[-1]] == ends
        assert path.alphas == pytest.approx(np.linspace(0, 1, 11))
        assert 0 <= path.barrier < 0.03

    def test_barrier_is_the_deepest_sag_below_the_chord(self):
        """One weight w and logits (w^2 - 0.2, 0): right away from 0, so that from -1 to 1 only the middle is wrong."""
        labels = torch.zeros(10, dtype=torch.int64)

        def predict(w):
            return torch.stack([w.square() - 0.2, 0 * w], -1).expand(-1, 10, 2)

        path = connectivity(torch.tensor([[-1.0], [1.0]]), predict, labels, n_points=5)
        assert path.accuracy.tolist() == [1, 1, 0, 1, 1]
        assert path.barrier == 1


class TestEnsembleGap:
    def test_gap_is_second_order_in_the_spread(self, pool):
        gap = ensemble_gap(
            pool.flat.double(), lambda w: pool.predict(w, "ood").double(), pool.labels["ood"], scales=[0.02, 0.05, 0.1, 0.2]
        )
        assert gap.slope == pytest.approx(2, abs=0.1)
        assert gap.spread == pytest.approx(gap.scales * (pool.flat - pool.flat.mean(0)).norm(dim=1).max().item(), rel=1e-5)
        assert gap.ensemble_accuracy[0] == pytest.approx(gap.soup_accuracy, abs=0.01)

    def test_full_scale_is_the_real_ensemble(self, pool, evaluator):
        gap = ensemble_gap(pool.flat, lambda w: pool.predict(w, "ood"), pool.labels["ood"], scales=[0.5, 1.0])
        ensemble = prediction_ensemble(evaluator.logits(evaluator.singles, "ood"))
        assert gap.ensemble_accuracy[1] == pytest.approx((ensemble.argmax(1) == pool.labels["ood"]).double().mean().item())
        assert gap.soup_accuracy == pytest.approx(evaluator.accuracy([tuple(range(8))], "ood")[0])

    def test_prediction_ensemble_is_a_mean_of_probabilities(self):
        logits = randn(4, 5, 3)
        ensemble = prediction_ensemble(logits)
        torch.testing.assert_close(ensemble.sum(1), torch.ones(5, dtype=torch.float64))
        torch.testing.assert_close(prediction_ensemble(logits[:1]), logits[0].softmax(1))

    @pytest.mark.parametrize("scales", [[0.1], [0.0, 0.1], [-0.1, 0.1]])
    def test_bad_scales(self, pool, scales):
        with pytest.raises(ValueError, match="scales: got"):
            ensemble_gap(pool.flat, lambda w: pool.predict(w, "ood"), pool.labels["ood"], scales)

    def test_equal_models_have_no_slope(self):
        """Half a model plus half a model is the model exactly, so the gap is zero."""
        predict = lambda w: torch.stack([w, 0 * w], -1).expand(-1, 3, 2)  # noqa: E731
        with pytest.raises(ValueError, match=r"the gap at 0\.5 is zero"):
            ensemble_gap(torch.ones(2, 1), predict, torch.zeros(3, dtype=torch.int64), [0.5, 1.0])


class TestPairGains:
    def test_gain_of_each_pair(self, evaluator):
        gains = pair_gains(evaluator, "ood")
        assert np.array_equal(gains, gains.T)
        assert (gains.diagonal() == 0).all()
        one, other, both = evaluator.accuracy([(2,), (5,), (2, 5)], "ood")
        assert gains[2, 5] == pytest.approx(both - (one + other) / 2)

    def test_one_model_has_no_pairs(self, pool):
        alone = Evaluator(replace(pool, flat=pool.flat[:1], table=pool.table[:1]))
        assert pair_gains(alone, "ood").tolist() == [[0]]

    def test_distance_and_gain_can_be_correlated(self, evaluator):
        d = evaluator.distances("weights", evaluator.singles, "ood")
        assert -1 <= pair_correlation(d, pair_gains(evaluator, "ood")) <= 1


class TestSubsets:
    def sample(self, evaluator, size=3, n=20, seed=0):
        d = evaluator.distances("ratio-error", evaluator.singles, "id_test")
        return d, sample_subsets(d, partial(evaluator.counts, split="ood"), size, n, Seeds(seed))

    def test_subsets_are_distinct_and_of_the_size(self, evaluator):
        _, sample = self.sample(evaluator)
        assert len(set(sample.subsets)) == len(sample.subsets) == 20
        assert all(len(set(s)) == 3 and list(s) == sorted(s) for s in sample.subsets)

    def test_marks_point_at_the_largest(self, evaluator):
        d, sample = self.sample(evaluator)
        k = sample.most_diverse
        i, j, m = sample.subsets[k]
        assert sample.diversity.max() == sample.diversity[k] == pytest.approx((d[i, j] + d[i, m] + d[j, m]).item() / 3)
        assert sample.scores.max() == sample.scores[sample.best] == evaluator.counts([sample.subsets[sample.best]], "ood")[0]

    def test_all_subsets_where_there_are_few(self, evaluator):
        assert len(self.sample(evaluator, size=2, n=28)[1].subsets) == 28
        assert len(self.sample(evaluator, size=8, n=500)[1].subsets) == 1

    def test_same_seed_same_subsets(self, evaluator):
        assert self.sample(evaluator)[1].subsets == self.sample(evaluator)[1].subsets
        assert self.sample(evaluator)[1].subsets != self.sample(evaluator, seed=1)[1].subsets

    @pytest.mark.parametrize(
        ("size", "n", "message"), [(1, 5, r"size: got 1, allowed are 2\.\.8"), (9, 5, "size: got 9"), (3, 0, "n_subsets: got 0")]
    )
    def test_bad_sizes(self, evaluator, size, n, message):
        with pytest.raises(ValueError, match=message):
            self.sample(evaluator, size, n)


class TestBiasVarianceCovariance:
    @given(st.integers(0, 1000), st.integers(2, 4), st.integers(2, 5))
    @settings(max_examples=40)
    def test_the_parts_sum_to_the_error_exactly(self, seed, repeats, m):
        p = randn(repeats, m, 7, 3, seed=seed).softmax(-1)
        parts = bias_variance_covariance(p, torch.randint(0, 3, (7,), generator=Seeds(seed).torch()))
        assert parts.error == pytest.approx(parts.bias2 + parts.variance / m + (m - 1) / m * parts.covariance)

    def test_copies_of_one_model_covary_fully(self):
        p = randn(3, 1, 6, 4).softmax(-1).repeat(1, 5, 1, 1)
        parts = bias_variance_covariance(p, torch.zeros(6, dtype=torch.int64))
        assert parts.covariance == pytest.approx(parts.variance)

    def test_one_pool_tells_nothing_of_covariance(self):
        with pytest.raises(ValueError, match="got 1 repeats of 4 models"):
            bias_variance_covariance(randn(1, 4, 6, 3).softmax(-1), torch.zeros(6, dtype=torch.int64))
