"""Label oracles of the soft-labels spec, line by line: cross-entropy, temperature, smoothing, swap, top-k, ensemble, removals."""

import math
from inspect import unwrap

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from torch.nn import functional as F

from lib.distillation.labels import (
    check_labels,
    class_means,
    ensemble,
    entropy,
    hard,
    jensen_shannon,
    mean_rest,
    remove_label,
    shuffled_rest,
    smoothed,
    smoothing_entropy,
    smoothing_of_entropy,
    soften,
    swap_k,
    top_k,
    top_overlap,
    without_images,
)
from lib.population.losses import cross_entropy
from lib.seeds import Seeds

QUICK = settings(max_examples=25, deadline=None)
SEED, CLASSES = st.integers(0, 10_000), st.integers(2, 12)


def random_logits(seed, classes=7, rows=6, scale=2.0):
    return scale * torch.randn(rows, classes, generator=Seeds(seed).torch(), dtype=torch.float64)


def labels_of(seed, classes=7, rows=6):
    return torch.randint(classes, (rows,), generator=Seeds(seed).child("labels").torch())


def exact(values):
    return torch.tensor(values, dtype=torch.float64)


def same(one, other, atol=1e-12):
    torch.testing.assert_close(one, other, atol=atol, rtol=0)


class TestCrossEntropy:
    """The students' loss against the labels of this room."""

    @staticmethod
    def loss(logits, q):
        return cross_entropy(logits[None], q[None], torch.zeros(1, 1, dtype=torch.float64))[0]

    @given(SEED)
    @QUICK
    def test_is_entropy_plus_divergence(self, seed):
        z, q = random_logits(seed), soften(random_logits(seed + 1))
        divergence = F.kl_div(z.log_softmax(1), q, reduction="batchmean")
        same(self.loss(z, q), entropy(q).mean() + divergence)

    @given(SEED, st.integers(1, 7))
    @QUICK
    def test_gradient_in_the_logits(self, seed, k):
        """(sum q) p - q, over B: for whole rows p - q. Against central differences, and against autograd."""
        z, truth = random_logits(seed), labels_of(seed)
        q = top_k(soften(random_logits(seed + 1)), k, truth)
        expected = (q.sum(1, keepdim=True) * z.softmax(1) - q) / len(z)
        step = 1e-6 * torch.eye(z.numel(), dtype=torch.float64).view(-1, *z.shape)
        differences = torch.stack([(self.loss(z + d, q) - self.loss(z - d, q)) / 2e-6 for d in step]).view_as(z)
        same(differences, expected, atol=1e-8)
        same(*torch.autograd.grad(self.loss(z.requires_grad_(), q), z), expected)

    @given(SEED)
    @QUICK
    def test_of_hard_labels_is_that_of_class_numbers(self, seed):
        z, truth = random_logits(seed), labels_of(seed)
        same(self.loss(z, hard(truth, 7)), F.cross_entropy(z, truth))

    @given(SEED)
    @QUICK
    def test_agrees_with_torch_on_probabilities(self, seed):
        z, q = random_logits(seed), soften(random_logits(seed + 1))
        same(self.loss(z, q), F.cross_entropy(z, q))


class TestTemperature:
    @given(SEED, st.floats(0.1, 20), st.floats(-50, 50))
    @QUICK
    def test_a_shift_of_the_logits_changes_nothing(self, seed, temperature, shift):
        z = random_logits(seed)
        same(soften(z + shift, temperature), soften(z, temperature), atol=1e-10)

    @given(SEED, st.floats(0.2, 10), st.floats(1.01, 3))
    @QUICK
    def test_entropy_rises_with_it(self, seed, temperature, factor):
        z = random_logits(seed)
        assert (entropy(soften(z, factor * temperature)) > entropy(soften(z, temperature))).all()

    @given(SEED, CLASSES)
    @QUICK
    def test_towards_infinity_all_classes_are_equal(self, seed, classes):
        for temperature in (1e9, 1e308):
            same(entropy(soften(random_logits(seed, classes), temperature)), exact([math.log(classes)] * 6))

    @given(SEED)
    @QUICK
    def test_towards_zero_the_largest_takes_all(self, seed):
        z = random_logits(seed)
        for temperature in (1e-9, 1e-300, 5e-324):
            assert torch.equal(soften(z, temperature), hard(z.argmax(1), 7))

    @given(SEED, st.floats(0.1, 50))
    @QUICK
    def test_keeps_all_ranks(self, seed, temperature):
        z = random_logits(seed)
        assert torch.equal(soften(z, temperature).argsort(1), z.argsort(1))

    def test_towards_zero_equally_large_ones_share(self):
        assert soften(exact([[3.0, 3.0, -1.0]]), 1e-300).tolist() == [[0.5, 0.5, 0]]

    def test_logits_at_the_ends_of_the_scale(self):
        assert soften(exact([[1e308, -1e308, 0.0]]), 1e-9).tolist() == [[1, 0, 0]]

    def test_divides_the_logits(self):
        z = exact([[0.0, math.log(16.0)]])
        same(soften(z, 2.0), exact([[0.2, 0.8]]))

    def test_small_probabilities_of_float32_logits_stay_apart(self):
        q = soften(torch.tensor([[0.0, -200.0, -300.0]]))
        assert q.dtype == torch.float64
        assert q[0, 1] > q[0, 2] > 0

    @pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
    def test_bad(self, temperature):
        with pytest.raises(ValueError, match=r"temperature: got .*, allowed are finite numbers > 0"):
            soften(random_logits(0), temperature)

    def test_bad_logits(self):
        with pytest.raises(ValueError, match="logits: got inf"):
            soften(torch.tensor([[0.0, float("inf")]]))


class TestEntropy:
    def test_known_values(self):
        q = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75], [0.5, 0.0], [0.0, 0.0]])
        expected = [0.0, math.log(2), -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)), 0.5 * math.log(2), 0.0]
        assert entropy(q).tolist() == pytest.approx(expected)

    def test_any_stack_of_rows(self):
        q = soften(random_logits(0).view(2, 3, 7))
        same(entropy(q)[1], entropy(q[1]))


class TestSmoothing:
    @given(SEED, CLASSES, st.floats(0, 1))
    @QUICK
    def test_entropy_has_a_closed_form(self, seed, classes, amount):
        q = smoothed(labels_of(seed, classes), classes, amount)
        same(q.sum(1), exact([1.0] * 6))
        same(entropy(q), exact([smoothing_entropy(amount, classes)] * 6))

    def test_known_rows(self):
        same(smoothed(torch.tensor([1]), 4, 0.2), exact([[0.05, 0.85, 0.05, 0.05]]))
        assert smoothing_entropy(0.2, 4) == pytest.approx(-0.85 * math.log(0.85) - 0.15 * math.log(0.05))

    @given(st.floats(0, 1), CLASSES)
    @QUICK
    def test_the_amount_of_an_entropy(self, part, classes):
        nats = part * math.log(classes)
        assert smoothing_entropy(smoothing_of_entropy(nats, classes), classes) == pytest.approx(nats, abs=1e-9)

    def test_ends(self):
        assert smoothing_of_entropy(0.0, 10) == 0.0
        assert smoothing_of_entropy(math.log(10), 10) == pytest.approx(1.0)

    @pytest.mark.parametrize("amount", [-0.1, 1.1, float("nan")])
    def test_bad_amount(self, amount):
        with pytest.raises(ValueError, match=r"amount: got .*, allowed is 0 to 1"):
            smoothed(torch.tensor([0]), 3, amount)
        with pytest.raises(ValueError, match="amount: got"):
            smoothing_entropy(amount, 3)

    @pytest.mark.parametrize("nats", [-0.1, 1.2, float("nan")])
    def test_bad_entropy(self, nats):
        with pytest.raises(ValueError, match=r"nats: got .*, allowed is 0 to ln 3"):
            smoothing_of_entropy(nats, 3)


class TestHard:
    def test_one_hot(self):
        assert hard(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]

    @pytest.mark.parametrize("kind", [torch.float32, torch.bool])
    def test_labels_that_are_no_whole_numbers(self, kind):
        with pytest.raises(ValueError, match=f"labels: got {kind}, allowed are whole numbers"):
            hard(torch.tensor([0, 1]).to(kind), 3)

    @pytest.mark.parametrize("label", [-1, 3])
    def test_labels_out_of_range(self, label):
        with pytest.raises(ValueError, match=r"labels: got .*, allowed are 0 to 2"):
            hard(torch.tensor([label, 1]), 3)

    def test_one_class(self):
        with pytest.raises(ValueError, match="classes: got 1"):
            hard(torch.tensor([0]), 1)


class TestSwap:
    @given(SEED, CLASSES, st.data())
    @QUICK
    def test_moves_at_most_two_entries_and_keeps_what_there_is(self, seed, classes, data):
        q, k = soften(random_logits(seed, classes)), data.draw(st.integers(1, classes))
        swapped = swap_k(q, k)
        assert torch.equal(swapped.sort(1).values, q.sort(1).values)
        assert ((swapped != q).sum(1) <= 2).all()
        same(swapped.sum(1), q.sum(1))
        same(entropy(swapped), entropy(q))
        assert torch.equal(swapped.amax(1), q.amax(1))

    @given(SEED, CLASSES, st.data())
    @QUICK
    def test_exchanges_the_kth_largest_with_the_smallest(self, seed, classes, data):
        q, k = soften(random_logits(seed, classes)), data.draw(st.integers(1, classes))
        ranks = q.argsort(1, descending=True)
        swapped, kth, last = swap_k(q, k), ranks[:, k - 1 : k], ranks[:, -1:]
        assert torch.equal(swapped.gather(1, kth), q.gather(1, last))
        assert torch.equal(swapped.gather(1, last), q.gather(1, kth))

    @given(SEED, CLASSES, st.data())
    @QUICK
    def test_twice_is_the_identity(self, seed, classes, data):
        q, k = soften(random_logits(seed, classes)), data.draw(st.integers(1, classes))
        assert torch.equal(swap_k(swap_k(q, k), k), q)

    @given(SEED, CLASSES)
    @QUICK
    def test_the_last_rank_is_no_swap(self, seed, classes):
        q = soften(random_logits(seed, classes))
        assert torch.equal(swap_k(q, classes), q)

    @given(SEED, CLASSES)
    @QUICK
    def test_the_first_makes_the_least_likely_class_the_top(self, seed, classes):
        q = soften(random_logits(seed, classes))
        assert torch.equal(swap_k(q, 1).argmax(1), q.argmin(1))

    def test_of_equal_entries_the_first_column_ranks_higher(self):
        q = torch.tensor([[0.0, 0.5, 0.5, 0.0]])
        assert swap_k(q, 1).tolist() == [[0.0, 0.0, 0.5, 0.5]]
        assert swap_k(q, 2).tolist() == [[0.0, 0.5, 0.0, 0.5]]
        assert swap_k(q, 3).tolist() == q.tolist()

    def test_probabilities_that_float32_cannot_tell_apart(self):
        z = torch.tensor([[0.0, -120.0, -140.0, -130.0]])
        assert z.softmax(1)[0, 1:].tolist() == [0, 0, 0]
        assert swap_k(soften(z), 2).argsort(1, descending=True).tolist() == [[0, 2, 3, 1]]

    @pytest.mark.parametrize("k", [0, 8, -1])
    def test_bad_rank(self, k):
        with pytest.raises(ValueError, match=f"k: got {k}, allowed are whole numbers 1 to 7"):
            swap_k(soften(random_logits(0)), k)


class TestTopK:
    @given(SEED, CLASSES)
    @QUICK
    def test_all_classes_are_the_label_itself(self, seed, classes):
        q = soften(random_logits(seed, classes))
        assert torch.equal(top_k(q, classes, labels_of(seed, classes)), q)

    @given(SEED, CLASSES, st.data())
    @QUICK
    def test_keeps_the_k_largest_as_they_are(self, seed, classes, data):
        q, k = soften(random_logits(seed, classes)), data.draw(st.integers(1, classes))
        kept = top_k(q, k, labels_of(seed, classes))
        assert ((kept > 0).sum(1) == k).all()
        assert torch.equal(kept[kept > 0], q[kept > 0])
        same(kept.sum(1), q.topk(k).values.sum(1))

    @given(SEED, CLASSES)
    @QUICK
    def test_keeps_more_with_k_and_less_than_all_before_the_last(self, seed, classes):
        q, truth = soften(random_logits(seed, classes)), labels_of(seed, classes)
        mass = torch.stack([top_k(q, k, truth).sum(1) for k in range(1, classes + 1)])
        assert (mass.diff(dim=0) >= 0).all()
        assert (mass[:-1] < 1).all()

    def test_none_is_the_true_class_and_not_the_experts(self):
        q, truth = torch.tensor([[0.9, 0.1, 0.0]]), torch.tensor([2])
        assert top_k(q, 0, truth).tolist() == [[0, 0, 1]]
        assert top_k(q, 0, truth).dtype == q.dtype

    def test_equal_entries_still_give_k(self):
        assert top_k(torch.full((1, 4), 0.25), 2, torch.tensor([3])).tolist() == [[0.25, 0.25, 0, 0]]

    @pytest.mark.parametrize("k", [-1, 8])
    def test_bad_count(self, k):
        with pytest.raises(ValueError, match=f"k: got {k}, allowed are whole numbers 0 to 7"):
            top_k(soften(random_logits(0)), k, labels_of(0))


class TestRest:
    @given(SEED, CLASSES)
    @QUICK
    def test_shuffling_keeps_the_top_the_sum_and_the_entropy(self, seed, classes):
        q = soften(random_logits(seed, classes))
        moved = shuffled_rest(q, Seeds(seed))
        assert torch.equal(moved.argmax(1), q.argmax(1))
        assert torch.equal(moved.sort(1).values, q.sort(1).values)
        assert torch.equal(moved, shuffled_rest(q, Seeds(seed)))

    def test_every_order_of_the_rest_is_as_likely(self):
        """3! orders of three values over 6000 rows: 1000 each, with a standard deviation of 29."""
        moved = shuffled_rest(torch.tensor([[0.1, 0.7, 0.05, 0.15]]).expand(6000, 4), Seeds(0))
        counts = torch.unique(moved, dim=0, return_counts=True)[1]
        assert len(counts) == 6
        assert (counts - 1000).abs().max() < 120

    @given(SEED)
    @QUICK
    def test_the_mean_rest_keeps_the_top_and_the_sum(self, seed):
        q, truth = soften(random_logits(seed, 4, rows=12)), torch.arange(12) % 4
        shared, top = mean_rest(q, truth), q.argmax(1, keepdim=True)
        assert torch.equal(shared.gather(1, top), q.gather(1, top))
        same(shared.sum(1), q.sum(1))
        assert (shared >= 0).all()

    @given(SEED)
    @QUICK
    def test_the_mean_rest_is_in_proportion_to_the_class_mean(self, seed):
        q, truth = soften(random_logits(seed, 4, rows=12)), torch.arange(12) % 4
        shared, means = mean_rest(q, truth), class_means(q, truth)[truth]
        ratio = (shared / means).scatter(1, q.argmax(1, keepdim=True), float("nan"))
        same(ratio.nan_to_num(-1).amax(1), ratio.nan_to_num(float("inf")).amin(1), atol=1e-10)

    def test_the_mean_rest_of_two_images(self):
        q = exact([[0.6, 0.4, 0.0], [0.8, 0.0, 0.2], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        shared = mean_rest(q, torch.tensor([0, 0, 1, 2]))
        same(shared[:2], exact([[0.6, 0.8 / 3, 0.4 / 3], [0.8, 0.4 / 3, 0.2 / 3]]))
        assert torch.equal(shared[2:], q[2:])

    def test_class_means(self):
        q, truth = soften(random_logits(3, rows=21)), torch.arange(21) % 7
        for label, mean in enumerate(class_means(q, truth)):
            same(mean, q[truth == label].mean(0))

    def test_an_empty_class_is_named(self):
        with pytest.raises(ValueError, match="labels: class 1 has no image"):
            class_means(soften(random_logits(0, 3, rows=2)), torch.tensor([0, 2]))


class TestEnsemble:
    @given(SEED)
    @QUICK
    def test_of_one_or_of_equals_is_that_expert(self, seed):
        z = random_logits(seed)
        assert torch.equal(ensemble([z]), z)
        same(ensemble([z, z, z]), z)

    @given(SEED)
    @QUICK
    def test_is_the_normalised_geometric_mean_of_probabilities(self, seed):
        members = torch.stack([random_logits(seed + e) for e in range(4)])
        product = soften(members).log().mean(0).exp()
        same(soften(ensemble(members)), product / product.sum(1, keepdim=True))

    @given(SEED)
    @QUICK
    def test_the_order_of_members_means_nothing(self, seed):
        members = [random_logits(seed + e) for e in range(4)]
        same(ensemble(members[::-1]), ensemble(members))

    def test_is_not_the_mean_of_probabilities(self):
        members = [torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 0.5]])]
        assert (soften(ensemble(members)) - torch.stack([soften(z) for z in members]).mean(0)).abs().max() > 0.1

    def test_bad_members(self):
        with pytest.raises(ValueError, match="logits: got no experts"):
            ensemble([])
        with pytest.raises(ValueError, match=r"logits: got experts of shapes \[\(6, 7\), \(6, 5\)\]"):
            ensemble([random_logits(0), random_logits(0, 5)])
        with pytest.raises(ValueError, match="logits: got nan, allowed are finite numbers"):
            ensemble([random_logits(0), random_logits(0) * torch.nan])


class TestRemovals:
    @given(SEED, st.integers(0, 6))
    @QUICK
    def test_a_removed_label_is_gone_from_all_other_classes(self, seed, subject):
        q, truth = soften(random_logits(seed, rows=21)), torch.arange(21) % 7
        removed = remove_label(q, truth, subject)
        assert (removed[truth != subject, subject] == 0).all()
        assert torch.equal(removed[truth == subject], q[truth == subject])
        others = [c for c in range(7) if c != subject]
        assert torch.equal(removed[:, others], q[:, others])

    @given(SEED, st.integers(0, 6))
    @QUICK
    def test_without_its_images_a_class_is_still_in_the_labels(self, seed, subject):
        q, truth = soften(random_logits(seed, rows=21)), torch.arange(21) % 7
        kept = without_images(truth, 7, subject)
        assert len(kept) == 6 * 3
        assert subject not in truth[kept]
        assert (q[kept, subject] > 0).all()

    @pytest.mark.parametrize("subject", [-1, 3])
    def test_bad_subject(self, subject):
        truth = torch.tensor([0, 1, 2])
        with pytest.raises(ValueError, match=f"subject: got {subject}, allowed are classes 0 to 2"):
            remove_label(hard(truth, 3), truth, subject)
        with pytest.raises(ValueError, match=f"subject: got {subject}, allowed are classes 0 to 2"):
            without_images(truth, 3, subject)

    def test_a_class_without_images(self):
        with pytest.raises(ValueError, match="subject: got class 1, which has no image"):
            without_images(torch.tensor([0, 2]), 3, 1)


class TestComparing:
    @given(SEED, CLASSES)
    @QUICK
    def test_jensen_shannon_is_scipys_squared(self, seed, classes):
        q, r = soften(random_logits(seed, classes)), soften(random_logits(seed + 1, classes))
        np.testing.assert_allclose(jensen_shannon(q, r), jensenshannon(q, r, axis=1) ** 2, atol=1e-12)
        same(jensen_shannon(q, r), jensen_shannon(r, q))

    def test_jensen_shannon_of_equals_and_of_strangers(self):
        q = hard(torch.tensor([0, 1]), 2)
        assert jensen_shannon(q, q).tolist() == [0, 0]
        same(jensen_shannon(q, q.flip(0)), exact([math.log(2)] * 2))
        assert (jensen_shannon(soften(random_logits(0)), soften(random_logits(0))) == 0).all()

    @given(SEED, CLASSES, st.data())
    @QUICK
    def test_overlap_counts_shared_classes(self, seed, classes, data):
        q, r = soften(random_logits(seed, classes)), soften(random_logits(seed + 1, classes))
        k = data.draw(st.integers(1, classes))
        shared = [
            len(set(a) & set(b)) / k
            for a, b in zip(q.topk(k).indices.tolist(), r.topk(k).indices.tolist(), strict=True)
        ]  # fmt: skip
        assert top_overlap(q, r, k).tolist() == pytest.approx(shared)
        assert (top_overlap(q, q, k) == 1).all()
        assert (top_overlap(q, r, classes) == 1).all()

    def test_bad_pairs(self):
        q = soften(random_logits(0))
        for compare in (jensen_shannon, lambda q, r: top_overlap(q, r, 1)):
            with pytest.raises(ValueError, match=r"r: got shape \(6, 5\), allowed is \(6, 7\)"):
                compare(q, soften(random_logits(0, 5)))
        for k in (0, 8):
            with pytest.raises(ValueError, match=f"k: got {k}, allowed are whole numbers 1 to 7"):
                top_overlap(q, q, k)


class TestEdges:
    def test_of_no_images_there_are_no_labels(self):
        q, truth = soften(torch.zeros(0, 7)), torch.zeros(0, dtype=torch.int64)
        for found in (
            q, entropy(q), hard(truth, 7), smoothed(truth, 7, 0.1), top_k(q, 2, truth), top_k(q, 0, truth), swap_k(q, 2),
            shuffled_rest(q, Seeds(0)), remove_label(q, truth, 3), ensemble([q, q]), jensen_shannon(q, q), top_overlap(q, q, 2),
        ):  # fmt: skip
            assert len(found) == 0

    def test_what_rearranges_a_label_keeps_its_dtype(self):
        q, truth = soften(random_logits(0)).float(), labels_of(0)
        for found in (
            top_k(q, 0, truth),
            top_k(q, 2, truth),
            swap_k(q, 2),
            shuffled_rest(q, Seeds(0)),
            remove_label(q, truth, 3),
        ):
            assert found.dtype == torch.float32

    def test_a_label_that_lost_its_mass_can_be_taken_apart_further(self):
        """The subject's column of all other rows is 0 then; nothing is renormalised on the way."""
        q, truth = soften(random_logits(0, rows=21)), torch.arange(21) % 7
        removed = remove_label(q, truth, 2)
        assert (removed.sum(1)[truth != 2] < 1).all()
        same(swap_k(removed, 1).sum(1), removed.sum(1))
        same(mean_rest(removed, truth).sum(1), removed.sum(1))
        same(top_k(removed, 7, truth), removed)


class TestBadLabels:
    GOOD = torch.tensor([[0.5, 0.5], [0.2, 0.3]])

    @pytest.mark.parametrize(
        ("entry", "words"),
        [(-1e-6, "got -1e-06, allowed are probabilities >= 0"), (float("nan"), "got nan"), (float("inf"), "got inf"),
         (0.51, "a row with sum 1.01")],
    )  # fmt: skip
    def test_every_door_is_guarded(self, entry, words):
        q, truth = self.GOOD.clone(), torch.tensor([0, 1])
        q[0, 1] = entry
        for use in (
            check_labels, entropy, lambda q: top_k(q, 1, truth), lambda q: swap_k(q, 1), lambda q: shuffled_rest(q, Seeds(0)),
            lambda q: class_means(q, truth), lambda q: mean_rest(q, truth), lambda q: remove_label(q, truth, 0),
            lambda q: jensen_shannon(self.GOOD, q), lambda q: top_overlap(q, self.GOOD, 1),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=f"q: {words}" if "got" in words else words):
                use(q)

    @given(SEED, st.integers(2, 1000))
    @QUICK
    def test_rounding_of_float32_is_no_excess(self, seed, classes):
        check_labels(random_logits(seed, classes).float().softmax(1))

    @pytest.mark.parametrize("number", [1.5, float("nan")])
    def test_ranks_and_classes_are_whole_numbers(self, number):
        """Beyond the tests nobody checks types: a tensor's index would be cut to a whole number."""
        truth = torch.tensor([0, 1])
        for use in (
            lambda: unwrap(swap_k)(self.GOOD, number), lambda: unwrap(top_k)(self.GOOD, number, truth),
            lambda: unwrap(top_overlap)(self.GOOD, self.GOOD, number), lambda: unwrap(remove_label)(self.GOOD, truth, number),
            lambda: unwrap(without_images)(truth, 2, number),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=f"got {number}, allowed are"):
                use()

    def test_sums_below_one_are_allowed(self):
        check_labels(self.GOOD)

    def test_counts(self):
        with pytest.raises(ValueError, match=r"q: got shape \(2, 2\) for 3 images"):
            check_labels(self.GOOD, images=3)
        with pytest.raises(ValueError, match="q: got 2 columns, allowed are 10"):
            check_labels(self.GOOD, images=2, classes=10)
        for use in (lambda y: top_k(self.GOOD, 0, y), lambda y: remove_label(self.GOOD, y, 0), lambda y: mean_rest(self.GOOD, y)):
            with pytest.raises(ValueError, match="labels: got 3 for 2 rows of q"):
                use(torch.tensor([0, 1, 0]))
