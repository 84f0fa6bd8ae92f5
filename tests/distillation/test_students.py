"""Students: equal terms for all arms, and the paper's effects on real digits."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib.distillation.labels import hard, remove_label, soften, swap_k, without_images
from lib.distillation.pool import fingerprint, nested_draw
from lib.distillation.students import Arm, quarterly, train_students
from lib.nets import MLP
from lib.population import unstack
from lib.seeds import Seeds

SETTINGS = {"students": 2, "steps": 40, "batch_size": 256, "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
EPOCHS = (1, 2, 4, 8, 16, 40)


@pytest.fixture(scope="module")
def rows(digits):
    return nested_draw(digits.y_train, [1, 5, 20], Seeds(0).child("draw"))


@pytest.fixture(scope="module")
def images(digits, rows):
    """Five images of each class and their labels."""
    return digits.x_train[rows[5]], digits.y_train[rows[5]]


@pytest.fixture
def teach(net, images):
    """A function that trains students on the five images of each class."""

    def run(*arms, x=images[0], net=net, seeds=Seeds(1), **changes):
        return train_students(net, x, arms, seeds=seeds, **(SETTINGS | changes))

    return run


@pytest.fixture(scope="module")
def soft(experts, images):
    return soften(experts.logits(2, images[0])[0])


def members(students):
    """[arm][student] -> parameters."""
    each, (_, _, count) = unstack(students.params), students.losses.shape
    return [each[a : a + count] for a in range(0, len(each), count)]


def equal(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def close(ours, theirs, atol=1e-6):
    return all(torch.allclose(ours[name], theirs[name], rtol=0, atol=atol) for name in ours)


class TestEqualTerms:
    @pytest.mark.parametrize("batch_size", [256, 16])
    def test_arms_with_the_same_labels_are_the_same_bit_for_bit(self, teach, soft, images, batch_size):
        students = teach(Arm("a", soft), Arm("hard", hard(images[1], 10)), Arm("b", soft), batch_size=batch_size)
        a, other, b = members(students)
        for s in range(2):
            assert equal(a[s], b[s])
            assert not equal(a[s], other[s])
        assert not equal(a[0], a[1])
        assert torch.equal(students.losses[:, 0], students.losses[:, 2])

    def test_every_arm_starts_alike_and_sees_the_same_minibatches(self, teach, soft):
        """At rate 0 the loss is linear in the labels, batch by batch."""
        mixed, flat = (soft + 0.1) / 2, torch.full_like(soft, 0.1)
        losses = teach(Arm("soft", soft), Arm("flat", flat), Arm("mixed", mixed), lr=0.0, batch_size=16).losses
        torch.testing.assert_close(losses[:, 2], (losses[:, 0] + losses[:, 1]) / 2)

    def test_an_arm_alone_is_the_arm_in_company(self, teach, soft, images):
        together = teach(Arm("hard", hard(images[1], 10)), Arm("soft", soft), batch_size=16, lr=[0.1, 0.02])
        for at_once in (1, None):
            (alone,) = members(teach(Arm("soft", soft), batch_size=16, lr=0.02, members_at_once=at_once))
            assert all(close(one, other) for one, other in zip(alone, members(together)[1], strict=True))

    def test_same_images_in_every_arm_is_the_same_fingerprint(self, digits, rows):
        again = nested_draw(digits.y_train, [1, 5, 20], Seeds(0).child("draw"))
        assert {ipc: fingerprint(found) for ipc, found in rows.items()} == {
            ipc: fingerprint(found) for ipc, found in again.items()
        }

    def test_a_student_is_plain_torch_sgd_under_a_falling_rate(self, teach, soft, images):
        """In float64: torch's modules, probability targets, momentum, decay and StepLR every quarter."""
        x = images[0].double()
        ours = members(teach(Arm("soft", soft), Arm("hard", hard(images[1], 10)), x=x, lr=[0.05, 0.2]))
        for arm, targets, lr in ((0, soft, 0.05), (1, images[1], 0.2)):
            for s in range(2):
                start = MLP((64, 64, 10)).init(Seeds(1).child("student", s, "start"))
                model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).double()
                model.load_state_dict(dict(zip(model.state_dict(), start.values(), strict=True)))
                sgd = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
                fall = torch.optim.lr_scheduler.StepLR(sgd, SETTINGS["steps"] // 4, 0.3)
                for _ in range(SETTINGS["steps"]):
                    sgd.zero_grad()
                    F.cross_entropy(model(x), targets).backward()
                    sgd.step()
                    fall.step()
                assert close(dict(zip(start, model.parameters(), strict=True)), ours[arm][s], atol=1e-9)

    def test_the_rate_falls_at_every_quarter(self):
        factors = [quarterly(250)(step) for step in range(250)]
        assert sorted(set(factors), reverse=True) == pytest.approx([1, 0.3, 0.09, 0.027])
        assert all(60 <= factors.count(factor) <= 64 for factor in set(factors))

    def test_rows_that_an_arm_does_not_see_do_not_matter(self, teach, soft, images):
        kept = torch.arange(10, 50)
        other = soft.clone()
        other[:10] = 0.1
        one, two = members(teach(Arm("a", soft, kept), Arm("b", other, kept)))
        alone = members(teach(Arm("a", soft[kept]), x=images[0][kept], batch_size=50))[0]
        for s in range(2):
            assert equal(one[s], two[s])
            assert not equal(one[s], alone[s])  # batches of 50 out of 40 rows and of 40 differ in what they weigh
        same_size = members(teach(Arm("a", soft, kept), batch_size=40))[0]
        assert all(close(mine, theirs) for mine, theirs in zip(same_size, alone, strict=True))


class TestScores:
    def test_accuracy_and_class_accuracy_are_counted_by_hand(self, teach, soft, digits, net, images):
        students = teach(Arm("soft", soft), Arm("hard", hard(images[1], 10)))
        assert students.arms == ("soft", "hard")
        for a, arm in enumerate(members(students)):
            for s, params in enumerate(arm):
                right = (net.apply(params, digits.x_test).argmax(1) == digits.y_test).double()
                assert students.accuracy(digits.x_test, digits.y_test)[a, s].item() == pytest.approx(100 * right.mean().item())
                for subject in (0, 7):
                    found = students.class_accuracy(digits.x_test, digits.y_test, subject)[a, s].item()
                    assert found == pytest.approx(100 * right[digits.y_test == subject].mean().item())

    def test_a_class_without_rows(self, teach, soft, digits):
        students = teach(Arm("soft", soft), steps=1)
        kept = digits.y_test != 3
        with pytest.raises(ValueError, match="subject: got 3, allowed are classes with rows here, of 0 to 9"):
            students.class_accuracy(digits.x_test[kept], digits.y_test[kept], 3)
        with pytest.raises(ValueError, match="subject: got 10"):
            students.class_accuracy(digits.x_test, digits.y_test, 10)


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda q: q[:49], r"arm 'bad': q: got shape \(49, 10\) for 50 images"),
            (lambda q: torch.cat([q, q[:1]]), r"arm 'bad': q: got shape \(51, 10\) for 50 images"),
            (lambda q: q[:, :9], "arm 'bad': q: got 9 columns, allowed are 10"),
            (lambda q: -q, "arm 'bad': q: got -.*, allowed are probabilities >= 0"),
            (lambda q: q * torch.nan, "arm 'bad': q: got nan, allowed are finite probabilities"),
            (lambda q: q * torch.inf, "arm 'bad': q: got inf"),
            (lambda q: q * 1.00001, r"arm 'bad': q: got a row with sum 1.00001, allowed are sums up to 1 \+ 1e-6"),
        ],
    )
    def test_labels_that_do_not_fit_name_the_arm(self, teach, soft, change, message):
        with pytest.raises(ValueError, match=message):
            teach(Arm("good", soft), Arm("bad", change(soft)))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"students": 0}, "students: got 0"),
            ({"steps": 0}, "steps: got 0"),
            ({"batch_size": 0}, "batch_size: got 0"),
            ({"lr": [0.1, 0.1]}, "lr: got 2 rates, allowed are one, or one for each of 1 arms"),
            ({"lr": -0.1}, r"lr: got \[-0.1, -0.1\], allowed is \[0, inf\)"),
            ({"net": MLP((64, 9))}, r"y: distributions of shape \(50, 10\), allowed is \(n, 9\)"),
            ({"net": MLP((63, 10))}, "x: rows of width 64, this MLP takes 63"),
        ],
    )
    def test_other_arguments(self, teach, soft, changes, message):
        with pytest.raises(ValueError, match=message):
            teach(Arm("soft", soft), **changes)

    def test_no_arms_and_equal_names(self, teach, soft):
        for arms in ([], [Arm("soft", soft), Arm("soft", soft)]):
            with pytest.raises(ValueError, match=r"arms: got .*, allowed are one or more with names of their own"):
                teach(*arms)

    def test_divergence_is_an_error_that_names_the_arm(self, teach, soft):
        with pytest.raises(RuntimeError, match=r"arm 'wild': student 0 diverged at step \d+ of 40; lower lr = 1e\+30"):
            teach(Arm("calm", soft), Arm("wild", soft), lr=[0.05, 1e30])


@pytest.fixture(scope="module")
def scores(digits, experts, net, rows):
    """Mean test accuracy over three students, at 1 and at 20 images of each class."""
    found = {}
    for ipc in (1, 20):
        x, y = digits.x_train[rows[ipc]], digits.y_train[rows[ipc]]
        q = {f"epoch {e}": soften(experts.logits(e, x)[0]) for e in EPOCHS}
        q |= {"hard": hard(y, 10), "swap 1": swap_k(q["epoch 2"], 1), "swap 9": swap_k(q["epoch 2"], 9)}
        arms = [Arm(name, labels) for name, labels in q.items()]
        students = train_students(net, x, arms, seeds=Seeds(2), **(SETTINGS | {"students": 3, "steps": 120}))
        found[ipc] = dict(zip(students.arms, students.accuracy(digits.x_test, digits.y_test).mean(1).tolist(), strict=True))
    return found


class TestThePapersEffects:
    """Margins are a fraction of the effect seen on this task."""

    def test_the_best_soft_labels_beat_hard_ones_on_one_image_a_class(self, scores):
        assert max(scores[1][f"epoch {e}"] for e in EPOCHS) > scores[1]["hard"] + 4

    def test_the_best_epoch_is_no_later_on_fewer_images(self, scores):
        best = {ipc: max(EPOCHS, key=lambda e, ipc=ipc: scores[ipc][f"epoch {e}"]) for ipc in scores}
        assert best[1] <= best[20]

    def test_too_early_an_expert_is_copied_with_its_faults(self, scores):
        assert scores[20]["epoch 1"] < scores[20]["hard"] - 4

    def test_what_the_top_label_says_matters_more_than_the_order_at_the_end(self, scores):
        assert scores[1]["swap 1"] < 15
        assert abs(scores[1]["swap 9"] - scores[1]["epoch 2"]) < 8

    def test_a_class_without_images_is_known_from_soft_labels_alone(self, digits, experts, net, rows):
        x, y = digits.x_train[rows[20]], digits.y_train[rows[20]]
        q = soften(experts.logits(2, x)[0])
        known, unknown = [], []
        for subject in (1, 4, 6):
            kept = without_images(y, 10, subject)
            assert len(kept) == 9 * 20
            arms = [Arm("soft", q, kept), Arm("hard", hard(y, 10), kept), Arm("no label", remove_label(q, y, subject), kept)]
            students = train_students(net, x, arms, seeds=Seeds(2), **(SETTINGS | {"steps": 120}))
            found = students.class_accuracy(digits.x_test, digits.y_test, subject).mean(1).tolist()
            known.append(found[0])
            unknown += found[1:]
        assert max(known) > 10
        assert max(unknown) == 0
