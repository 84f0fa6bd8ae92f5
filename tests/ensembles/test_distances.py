"""Distances between models: known answers, laws, and what each refuses."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.ensembles import distances, measures
from lib.ensembles.averaging import mix, mixture_weights
from lib.ensembles.distances import KINDS, Outputs, check_distances, distance_to, pair_distance, set_diversity
from lib.seeds import Seeds

TRUE = torch.zeros(5, dtype=torch.int64)


def errors(*rows):
    """Outputs of models with these errors, true class 0, every error class 1."""
    classes = torch.tensor(rows)
    return Outputs(classes, torch.zeros(classes.shape[1], dtype=torch.int64), 3)


def random_outputs(n_models, seed, n=40, n_classes=4, p=12):
    generator = Seeds(seed).torch()
    logits = 2 * torch.randn(n_models, n, n_classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, n_classes, (n,), generator=generator)
    rest = torch.randn(n_models, n, 5, generator=generator), torch.randn(n_models, p, generator=generator)
    theta0, layers = torch.randn(p, generator=generator), (p // 3, p - p // 3)
    return Outputs(logits.argmax(-1), labels, n_classes, logits.softmax(-1), *rest, theta0, layers)


def some(outputs, rows):
    """The same outputs for some of the models."""
    per_model = ("classes", "probabilities", "features", "weights")
    fields = {name: getattr(outputs, name) for name in outputs.__dataclass_fields__}
    return Outputs(**fields | {name: fields[name][rows] for name in per_model})


class TestOracle06RatioError:
    def test_known_errors(self):
        assert pair_distance("ratio-error", errors((1, 1, 0, 0, 0), (1, 0, 1, 0, 0)))[0, 1] == 2

    def test_identical_errors(self):
        assert pair_distance("ratio-error", errors((1, 1, 0), (1, 1, 0)))[0, 1] == 0

    def test_never_both_wrong_clamps_the_denominator(self):
        assert pair_distance("ratio-error", errors((1, 1, 0, 0), (0, 0, 1, 0)))[0, 1] == 3

    def test_by_label(self):
        """Both err on four samples, with the same class on one of them."""
        assert pair_distance("ratio-error-label", errors((1, 1, 2, 2, 0), (1, 2, 1, 1, 1)))[0, 1] == 3

    def test_by_label_clamps_the_denominator(self):
        assert pair_distance("ratio-error-label", errors((1, 1, 0), (2, 2, 1)))[0, 1] == 2

    def test_it_is_no_metric(self):
        """Zero for models that differ, and no triangle inequality."""
        alike = errors((1, 2, 0), (2, 1, 0))
        assert pair_distance("ratio-error", alike)[0, 1] == 0
        d = pair_distance("ratio-error", errors((1, 1, 1, 0, 0, 0), (1, 1, 1, 1, 1, 1), (0, 0, 0, 1, 1, 1)))
        assert d[0, 2] > d[0, 1] + d[1, 2]


class TestOracle07Gram:
    def test_soup_to_member_equals_direct_computation(self):
        flat = torch.randn(6, 400, generator=Seeds(1).torch())
        theta0 = torch.randn(400, generator=Seeds(2).torch())
        rows = torch.cat([torch.eye(6, dtype=torch.float64), mixture_weights([(0, 1), (2, 3, 5), range(6)], 6)])
        direct = pair_distance("weights", Outputs(weights=mix(flat, rows)))
        gram = pair_distance("weights", Outputs(mixture=rows, gram=measures.gram_matrix(flat, theta0)))
        torch.testing.assert_close(gram, direct, rtol=1e-5, atol=1e-5)

    def test_soup_of_two_lies_at_half_distance_from_each(self):
        flat = torch.randn(2, 300, generator=Seeds(3).torch())
        rows = mixture_weights([(0,), (1,), (0, 1)], 2)
        d = pair_distance("weights", Outputs(mixture=rows, gram=measures.gram_matrix(flat, torch.zeros(300))))
        torch.testing.assert_close(d[2, :2], d[0, 1].repeat(2) / 2, rtol=1e-5, atol=0)

    @given(st.integers(0, 500), st.sampled_from(["weights", "cosine"]))
    def test_every_origin_and_every_mixture_agree_with_the_weights(self, seed, kind):
        flat = torch.randn(4, 30, generator=Seeds(seed).torch(), dtype=torch.float64)
        theta0 = torch.randn(30, generator=Seeds(seed + 1).torch(), dtype=torch.float64)
        rows = torch.rand(5, 4, generator=Seeds(seed + 2).torch(), dtype=torch.float64) + 0.1
        rows /= rows.sum(1, keepdim=True)
        direct = pair_distance(kind, Outputs(weights=mix(flat, rows), theta0=theta0))
        gram = pair_distance(kind, Outputs(mixture=rows, gram=measures.gram_matrix(flat, theta0)))
        torch.testing.assert_close(gram, direct, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    @settings(max_examples=20)
    @given(st.integers(0, 500))
    def test_symmetric_with_zero_diagonal_exactly(self, kind, seed):
        d = pair_distance(kind, random_outputs(5, seed))
        assert d.dtype == torch.float64
        assert torch.equal(d, d.T)
        assert (d.diagonal() == 0).all()
        check_distances(d)

    @settings(max_examples=20)
    @given(st.integers(0, 500))
    def test_equal_models_are_at_distance_zero(self, kind, seed):
        twins = some(random_outputs(2, seed), [0, 1, 1])
        d = pair_distance(kind, twins)
        assert d[1, 2] == pytest.approx(0, abs=1e-6)
        torch.testing.assert_close(d[0, 1], d[0, 2], rtol=0, atol=1e-6)

    @settings(max_examples=20)
    @given(st.integers(0, 500))
    def test_distance_to_one_is_a_row_of_all_pairs(self, kind, seed):
        outputs = random_outputs(4, seed)
        row = distance_to(kind, some(outputs, [2]), outputs)
        torch.testing.assert_close(row, pair_distance(kind, outputs)[2], rtol=0, atol=1e-6)

    def test_a_missing_field_is_named_with_what_the_kind_needs(self, kind):
        with pytest.raises(ValueError, match=f"{KINDS[kind].each}: missing, the distance '{kind}' needs {KINDS[kind].each}"):
            pair_distance(kind, Outputs())

    def test_models_judged_on_different_samples(self, kind):
        one, other = random_outputs(1, 0), random_outputs(2, 0, n=39, p=15)
        with pytest.raises(ValueError, match=f"{KINDS[kind].each}: got shapes"):
            distance_to(kind, one, other)

    def test_distance_from_more_than_one(self, kind):
        with pytest.raises(ValueError, match="one: got 2 models"):
            distance_to(kind, random_outputs(2, 0), random_outputs(3, 0))


class TestKnownAnswers:
    def test_disagreement(self):
        assert pair_distance("disagreement", errors((0, 1, 2, 0), (0, 2, 1, 0)))[0, 1] == 0.5

    def test_error_disagreement_divides_by_the_mean_errors(self):
        assert pair_distance("error-disagreement", errors((1, 1, 1, 0), (1, 0, 0, 0)))[0, 1] == 1

    def test_error_disagreement_of_perfect_models_is_zero(self):
        assert pair_distance("error-disagreement", errors((0, 0), (0, 0)))[0, 1] == 0

    @pytest.mark.parametrize(
        ("one", "other", "expected"),
        [
            pytest.param((1, 0, 1, 0), (1, 1, 0, 0), 1, id="independent"),
            pytest.param((1, 1, 0, 0), (1, 1, 0, 0), 0, id="same"),
            pytest.param((1, 1, 0, 0), (0, 0, 1, 1), 2, id="opposite"),
            pytest.param((0, 0), (0, 1), 1, id="undefined"),
            pytest.param((0, 0), (0, 0), 0, id="both perfect"),
        ],
    )
    def test_one_minus_q(self, one, other, expected):
        assert pair_distance("one-minus-q", errors(one, other))[0, 1] == expected

    def test_jensen_shannon_of_sure_opposites_is_ln_2(self):
        p = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
        assert pair_distance("jensen-shannon", Outputs(probabilities=p))[0, 1].item() == pytest.approx(math.log(2))

    def test_jensen_shannon_against_scipy(self):
        from scipy.spatial.distance import jensenshannon

        p = random_outputs(2, 8).probabilities
        expected = np.mean(jensenshannon(p[0].numpy(), p[1].numpy(), axis=1) ** 2)
        assert pair_distance("jensen-shannon", Outputs(probabilities=p))[0, 1].item() == pytest.approx(expected)

    @given(st.integers(0, 500))
    def test_the_root_of_jensen_shannon_is_a_metric(self, seed):
        d = pair_distance("jensen-shannon-root", random_outputs(4, seed, n=3))
        assert (d[:, :, None] <= d[:, None, :] + d.T[None] + 1e-9).all()

    def test_cka_forgets_rotation_shift_and_scale(self):
        x = torch.randn(50, 6, generator=Seeds(0).torch(), dtype=torch.float64)
        turn = torch.linalg.qr(torch.randn(6, 6, generator=Seeds(1).torch(), dtype=torch.float64)).Q
        d = pair_distance("one-minus-cka", Outputs(features=torch.stack([x, 3 * x @ turn + 2])))
        assert d[0, 1].item() == pytest.approx(0, abs=1e-12)

    def test_cka_of_features_without_common_direction_is_one(self):
        x = torch.zeros(2, 4, 1, dtype=torch.float64)
        x[0, :, 0], x[1, :, 0] = torch.tensor([1.0, 1, -1, -1]), torch.tensor([1.0, -1, 1, -1])
        assert pair_distance("one-minus-cka", Outputs(features=x))[0, 1] == 1

    def test_cosine_of_task_vectors(self):
        weights = torch.tensor([[2.0, 1.0], [1.0, 2.0], [3.0, 1.0], [0.0, 1.0]])
        d = pair_distance("cosine", Outputs(weights=weights, theta0=torch.ones(2)))
        torch.testing.assert_close(d[0], torch.tensor([0.0, 1, 0, 2], dtype=torch.float64))

    def test_layerwise_weighs_layers_equally(self):
        weights = torch.tensor([[1.0, 100.0, 0.0], [3.0, 100.0, 0.0]])
        d = pair_distance("layerwise", Outputs(weights=weights, layers=(1, 1, 1)))
        assert d[0, 1].item() == pytest.approx((2 / 2 + 0 + 0) / 3)


class TestSetDiversity:
    D = np.array([[0.0, 1, 2], [1, 0, 6], [2, 6, 0]])

    def test_mean_over_pairs(self):
        assert set_diversity(self.D, (0, 1, 2)) == distances.Diversity(3.0, True)
        assert set_diversity(torch.from_numpy(self.D), (2, 1)) == distances.Diversity(6.0, True)

    def test_one_model_has_none(self):
        assert set_diversity(self.D, (1,)) == distances.Diversity(0.0, False)

    def test_a_model_that_entered_twice_is_a_pair_at_zero(self):
        assert set_diversity(self.D, (0, 0, 1)).value == pytest.approx(2 / 3)

    def test_no_models(self):
        with pytest.raises(ValueError, match="empty set"):
            set_diversity(self.D, ())


class TestCorrelation:
    def test_over_pairs(self):
        d = TestSetDiversity.D
        assert distances.pair_correlation(d, torch.from_numpy(d**2)) == pytest.approx(1)
        assert distances.pair_correlation(d, 7 - d) == pytest.approx(-1)

    def test_constant_distances_have_none(self):
        assert distances.spearman(np.ones(3), np.arange(3.0)) is None


class TestBadInput:
    def test_unknown_distance_lists_the_names(self):
        with pytest.raises(ValueError, match=f"distance: got 'd_X', allowed are {', '.join(KINDS)}"):
            pair_distance("d_X", Outputs())

    def test_prediction_arrays_with_different_lengths(self):
        with pytest.raises(ValueError, match="got 5 samples but 4 labels"):
            Outputs(torch.zeros(2, 5, dtype=torch.int64), TRUE[:4], 3)

    def test_empty_validation_set(self):
        with pytest.raises(ValueError, match="labels: got none, the split is empty"):
            Outputs(torch.zeros(2, 0, dtype=torch.int64), TRUE[:0], 3)

    @pytest.mark.parametrize("label", [-1, 3])
    def test_labels_out_of_range(self, label):
        labels = TRUE.clone()
        labels[1] = label
        with pytest.raises(ValueError, match=rf"labels: got class {label}, allowed are 0\.\.2"):
            Outputs(torch.zeros(2, 5, dtype=torch.int64), labels, 3)

    def test_predicted_classes_out_of_range(self):
        with pytest.raises(ValueError, match=r"classes: got class 3, allowed are 0\.\.2"):
            Outputs(torch.full((2, 5), 3), TRUE, 3)

    def test_distance_matrix_that_is_not_square(self):
        with pytest.raises(ValueError, match=r"got shape \(2, 3\), allowed is a square matrix"):
            check_distances(np.zeros((2, 3)))

    def test_distance_matrix_that_is_asymmetric(self):
        check_distances(np.array([[0, 1], [1 + 1e-9, 0]]))
        with pytest.raises(ValueError, match="between 0 and 1, allowed: a symmetric matrix"):
            check_distances(np.array([[0, 1], [1 + 1e-7, 0]]))

    @pytest.mark.parametrize(("entry", "message"), [(-1.0, ">= 0"), (math.nan, "finite"), (math.inf, "finite")])
    def test_distance_matrix_with_negative_or_nan_entries(self, entry, message):
        with pytest.raises(ValueError, match=rf"got {entry} between 0 and 1, allowed: .*{message}"):
            check_distances(np.array([[0, entry], [entry, 0]]))

    def test_distance_matrix_with_a_diagonal(self):
        with pytest.raises(ValueError, match="between 1 and 1, allowed: zeros on the diagonal"):
            check_distances(np.diag([0.0, 0.5]))

    def test_layers_that_do_not_add_up(self):
        with pytest.raises(ValueError, match="layers: got 3 weights in all, each model has 4"):
            Outputs(weights=torch.ones(2, 4), layers=(1, 2))

    def test_gram_matrix_of_another_pool(self):
        with pytest.raises(ValueError, match=r"gram: got \(2, 2\) for mixtures of 3 models"):
            Outputs(mixture=torch.eye(3), gram=torch.eye(2))

    def test_task_vector_without_direction(self):
        with pytest.raises(ValueError, match="model 1 is at theta0"):
            pair_distance("cosine", Outputs(weights=torch.tensor([[1.0], [0.0]]), theta0=torch.zeros(1)))

    def test_constant_features(self):
        with pytest.raises(ValueError, match="features: those of model 0 are constant"):
            pair_distance("one-minus-cka", Outputs(features=torch.ones(2, 4, 3)))

    def test_distance_that_is_not_finite_names_the_models(self):
        probabilities = torch.full((2, 3, 2), 0.5)
        probabilities[1, 0, 0] = math.nan
        with pytest.raises(RuntimeError, match="'jensen-shannon' of models 0 and 1 is not finite"):
            pair_distance("jensen-shannon", Outputs(probabilities=probabilities))
