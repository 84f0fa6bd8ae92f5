"""Weight averaging: laws of the mean, and pools that cannot be averaged."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib.ensembles.averaging import BLOCK, average, mix, mixture_weights, stack_states
from lib.seeds import Seeds


def random_pool(k, p, seed=0, dtype=torch.float32):
    return torch.randn(k, p, generator=Seeds(seed).torch(), dtype=dtype)


class TestOracle04Averaging:
    @given(st.integers(1, 6), st.integers(0, 1000), st.randoms())
    def test_order_does_not_matter(self, k, seed, random):
        flat, members = random_pool(k, 17, seed), list(range(k))
        random.shuffle(members)
        torch.testing.assert_close(average(flat, members), average(flat), rtol=0, atol=1e-6)

    def test_copies_average_to_themselves(self):
        flat = random_pool(1, 50).repeat(7, 1)
        torch.testing.assert_close(average(flat), flat[0], rtol=0, atol=1e-6)

    def test_theta_and_minus_theta_average_to_zero(self):
        flat = random_pool(1, 50)
        assert average(torch.cat([flat, -flat])).abs().max() == 0

    def test_soup_of_linear_models_has_the_mean_logits(self):
        flat, x = random_pool(5, 12, dtype=torch.float64), random_pool(30, 4, 1, torch.float64)
        logits = x @ flat.view(5, 4, 3)
        torch.testing.assert_close(x @ average(flat).view(4, 3), logits.mean(0), rtol=0, atol=1e-6)


class TestMixing:
    def test_rows_are_the_shares_of_members(self):
        rows = mixture_weights([(0,), (2, 1), (0, 1, 2)], 3)
        torch.testing.assert_close(rows, torch.tensor([[1, 0, 0], [0, 0.5, 0.5], [1 / 3] * 3], dtype=torch.float64))

    def test_a_member_that_enters_twice_weighs_double(self):
        torch.testing.assert_close(mixture_weights([(0, 0, 1)], 2, True), torch.tensor([[2 / 3, 1 / 3]], dtype=torch.float64))

    @given(st.integers(1, 5), st.integers(0, 1000))
    def test_soups_mixed_together_are_those_mixed_alone(self, k, seed):
        flat, rows = random_pool(k, 33, seed), mixture_weights([tuple(range(i + 1)) for i in range(k)], k)
        together = mix(flat, rows)
        for row, soup in zip(rows, together, strict=True):
            torch.testing.assert_close(mix(flat, row[None])[0], soup, rtol=2e-7, atol=1e-14)

    def test_models_wider_than_a_block_are_mixed_whole(self):
        flat = torch.ones(2, BLOCK + 3)
        flat[1] = 3
        soup = average(flat)
        assert soup.shape == (BLOCK + 3,)
        assert (soup == 2).all()

    def test_weights_of_members(self):
        flat = random_pool(3, 8)
        torch.testing.assert_close(average(flat, [2, 0], [0.25, 0.75]), 0.25 * flat[2] + 0.75 * flat[0])

    def test_the_pool_keeps_its_precision(self):
        assert average(random_pool(2, 3)).dtype == torch.float32
        assert average(random_pool(2, 3, dtype=torch.float64)).dtype == torch.float64


class TestPitfalls:
    def test_running_mean_of_members_equals_the_mean(self):
        """A soup that grows by one divides by its new size, candidate included."""
        flat = random_pool(6, 20, dtype=torch.float64)
        total = torch.zeros(20, dtype=torch.float64)
        for size in range(1, 7):
            total += flat[size - 1]
            torch.testing.assert_close(average(flat, range(size)), total / size)

    def test_whole_number_buffers_are_refused_by_name(self):
        states = [torch.nn.BatchNorm1d(3).state_dict() for _ in range(2)]
        with pytest.raises(ValueError, match=r"'num_batches_tracked' holds torch.int64"):
            stack_states(states)

    def test_running_statistics_are_stacked_with_the_parameters(self):
        states = [{k: v for k, v in torch.nn.BatchNorm1d(3).state_dict().items() if v.is_floating_point()} for _ in range(2)]
        assert set(stack_states(states)) == {"weight", "bias", "running_mean", "running_var"}
        assert stack_states(states)["running_var"].shape == (2, 3)


class TestBadInput:
    def test_empty_pool(self):
        with pytest.raises(ValueError, match="empty pool"):
            average(torch.zeros(0, 3))
        with pytest.raises(ValueError, match="empty pool"):
            stack_states([])

    def test_pool_with_different_keys_names_the_first(self):
        one = {"a": torch.ones(2), "b": torch.ones(1)}
        with pytest.raises(ValueError, match="key 'b' is not in both model 0 and model 1"):
            stack_states([one, {"a": torch.ones(2), "c": torch.ones(1)}])

    def test_pool_with_different_shapes_names_the_first(self):
        with pytest.raises(ValueError, match=r"'a' has shape \(2,\) in model 0 and \(3,\) in model 2"):
            stack_states([{"a": torch.ones(2)}, {"a": torch.ones(2)}, {"a": torch.ones(3)}])

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_non_finite_weights_name_the_model(self, bad):
        flat = random_pool(4, 5)
        flat[2, 3] = bad
        with pytest.raises(ValueError, match="model 2 has NaN or infinite weights"):
            average(flat)

    def test_dtype_mix_is_raised_to_the_widest_with_a_warning(self):
        states = [{"a": torch.ones(2)}, {"a": torch.ones(2, dtype=torch.float64)}]
        with pytest.warns(UserWarning, match="'a' mixes.*raised to torch.float64"):
            stacked = stack_states(states)
        assert stacked["a"].dtype == torch.float64

    def test_repeated_ids_without_replacement(self):
        with pytest.raises(ValueError, match="model 1 is given more than once"):
            average(random_pool(3, 4), [0, 1, 1])
        assert average(random_pool(3, 4), [1, 1], replacement=True).equal(random_pool(3, 4)[1])

    def test_weights_that_do_not_sum_to_one(self):
        with pytest.raises(ValueError, match=r"soup 0 sum to 1\.2, they must sum to one"):
            average(random_pool(2, 4), weights=[0.6, 0.6])

    @pytest.mark.parametrize("weights", [[1.0], [0.5, float("nan")]])
    def test_weights_that_do_not_fit_the_members(self, weights):
        with pytest.raises(ValueError, match="one finite number each"):
            average(random_pool(2, 4), weights=weights)

    def test_mixture_of_another_pool(self):
        with pytest.raises(ValueError, match="got 3 for each soup, allowed is one for each of 2 models"):
            mix(random_pool(2, 4), torch.full((1, 3), 1 / 3))
