"""Learned labels: the linear oracle, the gradient through a student's training against central differences, and digits."""

from dataclasses import dataclass, replace

import pytest
import torch

from lib.data import tensors
from lib.distillation.labels import hard, soften
from lib.distillation.learned import Unroll, learn_labels, meta_gradient, optimal_labels, ridge_student
from lib.nets import MLP, ConvNet
from lib.seeds import Seeds


@dataclass(frozen=True)
class Linear:
    """x W^T, started at 0: what gradient descent with weight decay turns into the ridge student."""

    inputs: int
    classes: int

    @property
    def input_ndim(self):
        return 2

    def layout(self):
        return {"weight": (self.classes, self.inputs)}

    def init(self, seeds):
        return {"weight": torch.zeros(self.classes, self.inputs)}

    def apply(self, params, x, *, drop=None):
        return x @ params["weight"].mT


def randn(*shape, seed):
    return torch.randn(shape, generator=Seeds(0).child(seed).torch(), dtype=torch.float64)


def started(net, members=1):
    pool = [net.init(Seeds(0).child("start", k)) for k in range(members)]
    return {name: torch.stack([one[name] for one in pool]).double() for name in pool[0]}


class TestLinearOracle:
    """Six images of four pixels, thirty real rows, three classes; a ridge student of lam = 0.6."""

    LAM, NET = 0.6, Linear(4, 3)
    X, Q, REAL = randn(6, 4, seed="x"), randn(6, 3, seed="q"), randn(30, 4, seed="real")
    Y = REAL @ randn(4, 3, seed="teacher") + 0.5 * randn(30, 3, seed="noise")
    DESCENT = Unroll(steps=60, window=60, lr=0.5, momentum=0.5, weight_decay=LAM / 6)

    def loss(self, q):
        return (self.REAL @ ridge_student(self.X, q, self.LAM) - self.Y).square().sum()

    def test_the_ridge_student_has_no_gradient(self):
        w = ridge_student(self.X, self.Q, self.LAM)
        gradient = self.X.mT @ (self.X @ w - self.Q) + self.LAM * w
        torch.testing.assert_close(gradient, torch.zeros_like(w), atol=1e-12, rtol=0)

    def test_no_labels_are_better_than_the_optimal_ones(self):
        best = optimal_labels(self.X, self.REAL, self.Y, self.LAM)
        least = torch.linalg.lstsq(self.REAL, self.Y).solution  # the images span all directions: any student can be taught
        torch.testing.assert_close(ridge_student(self.X, best, self.LAM), least)
        assert all(self.loss(best + 0.01 * randn(6, 3, seed=k)) >= self.loss(best) for k in range(20))

    def test_descent_from_zero_becomes_the_ridge_student(self):
        steps = replace(self.DESCENT, steps=400, window=1)
        value, _ = meta_gradient(
            self.NET, started(self.NET), self.X, self.Q, self.REAL, self.Y, unroll=steps, steps=400, softmax=False
        )
        assert 2 * 30 * value.item() == pytest.approx(self.loss(self.Q).item(), rel=1e-9)

    def test_the_gradient_through_descent_is_that_of_the_closed_form(self):
        q = self.Q.clone().requires_grad_()
        (expected,) = torch.autograd.grad(self.loss(q) / 60, q)
        steps = replace(self.DESCENT, steps=400, window=400)
        _, found = meta_gradient(
            self.NET, started(self.NET), self.X, self.Q, self.REAL, self.Y, unroll=steps, steps=400, softmax=False
        )
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)

    def test_the_learner_reaches_the_optimum(self):
        """Images whose columns are orthogonal, so that a student is done after eight steps."""
        x = 6**0.5 * torch.linalg.qr(self.X).Q
        unroll = Unroll(steps=8, window=8, lr=0.9, weight_decay=self.LAM / 6)
        found = learn_labels(
            self.NET, x, torch.zeros(6, 3), self.REAL, self.Y, unroll=unroll, outer_steps=200, lr=0.1, batch=30, seeds=Seeds(0),
            softmax=False,
        )  # fmt: skip
        least, first, last = (
            (self.REAL @ ridge_student(x, q, self.LAM) - self.Y).square().sum().item()
            for q in (optimal_labels(x, self.REAL, self.Y, self.LAM), torch.zeros(6, 3).double(), found.logits)
        )
        assert last == pytest.approx(least, rel=1e-6)
        assert first > 3 * least

    def test_the_window_ends_at_any_step_from_its_length_to_the_last(self):
        """Labels that hardly move, so that the loss tells the number of steps."""
        unroll = replace(self.DESCENT, steps=7, window=3)
        found = learn_labels(
            self.NET, self.X, self.Q, self.REAL, self.Y, unroll=unroll, outer_steps=60, lr=1e-12, batch=30, seeds=Seeds(0),
            softmax=False,
        )  # fmt: skip
        inputs = (self.NET, started(self.NET), self.X, self.Q, self.REAL, self.Y)
        possible = [meta_gradient(*inputs, unroll=unroll, steps=n, softmax=False)[0].item() for n in range(3, 8)]
        seen = {min(range(5), key=lambda i: abs(possible[i] - loss)) for loss in found.losses.tolist()}
        assert seen == {0, 1, 2, 3, 4}
        assert all(min(abs(p - loss) for p in possible) < 1e-9 for loss in found.losses.tolist())


SMOOTH = MLP((5, 6, 3), "tanh")
IMAGES = ConvNet(side=4, channels_in=1, width=2, classes=3, depth=1)
CASES = [(SMOOTH, (5,)), (IMAGES, (1, 4, 4))]


class TestMetaGradient:
    """Through torch.optim.SGD itself: the student is trained by torch, with labels moved by a little in the window alone."""

    UNROLL = Unroll(steps=6, window=6, lr=0.3, momentum=0.8, weight_decay=0.01)

    def trained(self, net, x, real_x, targets, early, late, unroll):
        """Outer loss when the steps before the window see the logits `early` and those within it `late`."""
        theta = {name: value.clone().requires_grad_() for name, value in started(net).items()}
        hyper = {"lr": unroll.lr, "momentum": unroll.momentum, "weight_decay": unroll.weight_decay}
        sgd = torch.optim.SGD(theta.values(), **hyper)
        for step in range(6):
            sgd.zero_grad()
            q = (late if step >= 6 - unroll.window else early).softmax(1)
            torch.nn.functional.cross_entropy(net.apply(theta, x)[0], q).backward()
            sgd.step()
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(net.apply(theta, real_x)[0], targets)

    @pytest.mark.parametrize("window", [1, 2, 6])
    @pytest.mark.parametrize(("net", "shape"), CASES, ids=["mlp", "convnet"])
    def test_is_that_of_central_differences(self, net, shape, window):
        """A window of all six steps is full back-propagation through time."""
        x, real_x = randn(3, *shape, seed="x"), randn(8, *shape, seed="real")
        z, targets, unroll = randn(3, 3, seed="z"), hard(torch.arange(8) % 3, 3), replace(self.UNROLL, window=window)
        loss, found = meta_gradient(net, started(net), x, z, real_x, targets, unroll=unroll, steps=6)
        ways = 1e-5 * torch.eye(9, dtype=torch.float64).view(9, 3, 3)
        ends = [[self.trained(net, x, real_x, targets, z, z + sign * way, unroll) for way in ways] for sign in (1, -1)]
        differences = (torch.tensor(ends[0]) - torch.tensor(ends[1])).view(3, 3) / 2e-5
        torch.testing.assert_close(found, differences.double(), rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(loss, self.trained(net, x, real_x, targets, z, z, unroll).double())

    def test_a_shorter_window_leaves_something_out(self):
        x, real_x, z = randn(3, 5, seed="x"), randn(8, 5, seed="real"), randn(3, 3, seed="z")
        targets = hard(torch.arange(8) % 3, 3)
        losses, gradients = zip(
            *(
                meta_gradient(SMOOTH, started(SMOOTH), x, z, real_x, targets, unroll=replace(self.UNROLL, window=window), steps=6)
                for window in (1, 3, 6)
            ),
            strict=True,
        )
        assert losses[0] == losses[1] == losses[2]
        assert not torch.allclose(gradients[0], gradients[1], rtol=0.05)
        assert not torch.allclose(gradients[1], gradients[2], rtol=0.05)

    def test_of_several_students_is_their_mean(self):
        x, real_x, z = randn(3, 5, seed="x"), randn(8, 5, seed="real"), randn(3, 3, seed="z")
        targets, all_of_them = hard(torch.arange(8) % 3, 3), started(SMOOTH, members=3)
        loss, gradient = meta_gradient(SMOOTH, all_of_them, x, z, real_x, targets, unroll=self.UNROLL, steps=6)
        alone = [
            meta_gradient(
                SMOOTH, {n: v[k : k + 1] for n, v in all_of_them.items()}, x, z, real_x, targets, unroll=self.UNROLL, steps=6
            )
            for k in range(3)
        ]
        torch.testing.assert_close(loss, torch.stack([one[0] for one in alone]).mean())
        torch.testing.assert_close(gradient, torch.stack([one[1] for one in alone]).mean(0))

    def test_fewer_steps_than_the_window(self):
        with pytest.raises(ValueError, match="steps: got 5, allowed are whole numbers >= window = 6"):
            meta_gradient(SMOOTH, started(SMOOTH), randn(3, 5, seed=0), randn(3, 3, seed=1), randn(3, 5, seed=2),
                          randn(3, 3, seed=3), unroll=self.UNROLL, steps=5)  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    """One image of each class to label, and 500 + 500 real ones."""
    x, y = tensors("digits")
    x = (x.flatten(1) - x.mean()) / x.std()
    rows = torch.stack([(y == label).nonzero()[0, 0] for label in range(10)])
    return x[rows], y[rows], x[100:600], y[100:600], x[600:1100], y[600:1100]


class TestDigits:
    NET, UNROLL = MLP((64, 32, 10)), Unroll(steps=30, window=10, lr=0.05, momentum=0.9)

    def learned(self, digits, seed=0, outer_steps=60, **options):
        x, y, real_x, real_y, *_ = digits
        how = {"unroll": self.UNROLL, "lr": 0.1, "batch": 128} | options
        return learn_labels(self.NET, x, 3 * hard(y, 10), real_x, real_y, outer_steps=outer_steps, seeds=Seeds(seed), **how)

    def test_learned_labels_teach_more_than_what_they_started_from(self, digits):
        """Outer loss of eight fresh students on real images that were not used."""
        x, y, _, _, new_x, new_y = digits
        starts = {name: value.float() for name, value in started(self.NET, members=8).items()}
        last = {"unroll": replace(self.UNROLL, window=1), "steps": 30}
        losses = {
            name: meta_gradient(self.NET, starts, x, logits, new_x, hard(new_y, 10).float(), **last)[0].item()
            for name, logits in {"first": 3 * hard(y, 10), "last": self.learned(digits).logits, "hard": 50 * hard(y, 10)}.items()
        }
        assert losses["last"] < 0.9 * min(losses["first"], losses["hard"])

    def test_are_labels_in_double_precision(self, digits):
        found = self.learned(digits, outer_steps=3)
        assert found.logits.dtype == torch.float64
        assert found.losses.shape == (3,)
        assert not found.logits.requires_grad
        torch.testing.assert_close(soften(found.logits).sum(1), torch.ones(10).double())

    def test_same_seed_same_bits(self, digits):
        one, again, other = (self.learned(digits, seed, outer_steps=3) for seed in (0, 0, 1))
        assert torch.equal(one.logits, again.logits)
        assert torch.equal(one.losses, again.losses)
        assert not torch.equal(one.logits, other.logits)

    def test_class_numbers_and_their_rows_are_the_same_targets(self, digits):
        x, y, real_x, real_y, *rest = digits
        rows = self.learned((x, y, real_x, hard(real_y, 10), *rest), outer_steps=2)
        assert torch.equal(rows.logits, self.learned(digits, outer_steps=2).logits)

    def test_the_given_logits_stay_as_they_are(self, digits):
        x, y, real_x, real_y, *_ = digits
        given = hard(y, 10)
        learn_labels(self.NET, x, given, real_x, real_y, unroll=self.UNROLL, outer_steps=2, lr=0.1, batch=8, seeds=Seeds(0))
        assert torch.equal(given, hard(y, 10))

    def test_progress(self, digits):
        seen = []
        self.learned(digits, outer_steps=3, progress=lambda done, total: seen.append((done, total)))
        assert seen == [(1, 3), (2, 3), (3, 3)]

    def test_a_student_that_diverges_is_named(self, digits):
        with pytest.raises(RuntimeError, match=r"outer step 0: loss .* not finite"):
            self.learned(digits, unroll=replace(self.UNROLL, lr=1e30))


class TestBadInput:
    @pytest.mark.parametrize("window", [-1, 0, 11])
    def test_window(self, window):
        with pytest.raises(ValueError, match=f"window: got {window}, allowed are whole numbers 1 to steps = 10"):
            Unroll(steps=10, window=window, lr=0.1)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("lr", 0.0), ("lr", float("nan")), ("momentum", 1.0), ("momentum", -0.1), ("weight_decay", -1.0)],
    )
    def test_unroll(self, field, value):
        with pytest.raises(ValueError, match=f"{field}: got {value}, allowed"):
            Unroll(**{"steps": 10, "window": 5, "lr": 0.1} | {field: value})

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("outer_steps", 0, "outer_steps: got 0"),
            ("lr", -0.1, "lr: got -0.1"),
            ("batch", 0, "batch: got 0, allowed are whole numbers 1 to 8"),
            ("batch", 9, "batch: got 9"),
            ("x", torch.zeros(0, 5), "x: got 0 of torch.float32, allowed are one or more"),
            ("x", torch.zeros(4, 5, dtype=torch.uint8), "x: got 4 of torch.uint8, allowed are one or more images of floating"),
            ("initial", torch.zeros(2, 3), "initial: got 2 rows for 4 of x, allowed is one for each"),
            ("initial", torch.zeros(4, 2), "initial: got 2 columns, allowed are 3"),
            ("initial", torch.full((4, 3), float("inf")), "initial: got numbers that are not finite"),
            ("real_y", torch.zeros(7, dtype=torch.int64), "real_y: got 7 rows for 8 of real_x"),
            ("real_y", torch.full((8,), True), "labels: got torch.bool, allowed are whole numbers"),
            ("real_y", torch.full((8, 3), -0.5), "real_y: q: got -0.5, allowed are probabilities >= 0"),
            ("real_y", torch.full((8, 3), 0.5), "real_y: q: got a row with sum 1.5"),
            ("real_y", torch.full((8, 3), float("nan")), "real_y: q: got nan, allowed are finite probabilities"),
            ("real_y", torch.full((8,), 3), "labels: got 3 to 3, allowed are 0 to 2"),
            ("real_y", torch.zeros(8, 2), r"real_y: got shape \(8, 2\)"),
        ],
    )
    def test_learner(self, field, value, words):
        good = {
            "x": torch.zeros(4, 5), "initial": torch.zeros(4, 3), "real_x": torch.zeros(8, 5),
            "real_y": torch.zeros(8, dtype=torch.int64), "outer_steps": 1, "lr": 0.1, "batch": 8,
        }  # fmt: skip
        with pytest.raises(ValueError, match=words):
            learn_labels(SMOOTH, **good | {field: value}, unroll=Unroll(steps=2, window=1, lr=0.1), seeds=Seeds(0))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"logits": torch.zeros(3, 3)}, "logits: got 3 rows for 4 of x"),
            ({"targets": torch.zeros(7, 3)}, "targets: got 7 rows for 8 of real_x"),
            ({"x": torch.zeros(0, 5)}, "x: got 0 of torch.float32"),
        ],
    )
    def test_gradient(self, changes, words):
        good = {"x": torch.zeros(4, 5), "logits": torch.zeros(4, 3), "real_x": torch.zeros(8, 5), "targets": torch.zeros(8, 3)}
        with pytest.raises(ValueError, match=words):
            meta_gradient(SMOOTH, started(SMOOTH), **good | changes, unroll=Unroll(steps=2, window=1, lr=0.1), steps=2)

    def test_ridge_on_what_does_not_fit_or_is_not_finite(self):
        x, q = torch.ones(3, 2), torch.ones(3, 2)
        with pytest.raises(ValueError, match="q: got 2 rows for 3 of x"):
            ridge_student(x, q[:2], 1.0)
        with pytest.raises(ValueError, match="targets: got 3 rows for 4 of real_x"):
            optimal_labels(x, torch.ones(4, 2), q, 1.0)
        for name, bad in (("x", (x * torch.nan, q)), ("q", (x, q * torch.inf))):
            with pytest.raises(ValueError, match=f"{name}: got numbers that are not finite"):
                ridge_student(*bad, 1.0)

    @pytest.mark.parametrize("lam", [0.0, -1.0, float("nan")])
    def test_ridge(self, lam):
        with pytest.raises(ValueError, match=f"lam: got {lam}, allowed are finite numbers > 0"):
            ridge_student(torch.ones(3, 2), torch.ones(3, 2), lam)
        with pytest.raises(ValueError, match="lam: got"):
            optimal_labels(torch.ones(3, 2), torch.ones(4, 2), torch.ones(4, 2), lam)
