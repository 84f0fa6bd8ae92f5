"""ResNets from scratch, trained one at a time: torch's own training, with running statistics among the parameters."""

import math

import pytest
import torch
from torch.nn import functional as F

from lib.distillation.augmentation import dsa
from lib.distillation.fitting import cosine, fit, tenths
from lib.distillation.labels import hard
from lib.distillation.resnet import ResNet
from lib.distillation.singly import train_singly
from lib.distillation.students import Arm, train_students
from lib.nets import Net
from lib.population import Hyperparameters, predict, stack, unstack
from lib.population.streams import Order
from lib.seeds import Seeds

pytestmark = pytest.mark.usefixtures("one_thread")
COLOURS = {"mean": (0.5, 0.4, 0.3), "sd": (0.2, 0.25, 0.3)}
NET = ResNet(18, 4, 3, **COLOURS)
X = torch.randint(256, (24, 3, 32, 32), dtype=torch.uint8, generator=Seeds(0).torch())
Y = torch.arange(24) % 3
NODES = [Seeds(1).child(k) for k in range(2)]
SETTING = {
    "members": 2,
    "steps": 4,
    "batch_size": 8,
    "seeds": NODES,
    "hyper": Hyperparameters(lr=0.05, momentum=0.9, weight_decay=1e-4),
}


@pytest.fixture(scope="module")
def starts():
    return stack([NET.init(node.child("start")) for node in NODES])


@pytest.fixture(scope="module")
def trained(starts):
    return train_singly(NET, starts, X, Y, snapshots=[0, 2, 4], schedule=tenths(2), **SETTING)


def close(ours, theirs):
    return all(torch.allclose(ours[name], theirs[name], rtol=1e-4, atol=1e-6) for name in theirs)


@pytest.mark.parametrize(("depth", "millions"), [(18, 11.69), (50, 25.56)])
def test_parameters_of_the_published_nets(depth, millions):
    """For the 1000 classes of ImageNet; the running statistics are no parameters of the gradient."""
    layout = ResNet(depth, 64, 1000).layout()
    count = sum(math.prod(shape) for name, shape in layout.items() if "running" not in name)
    assert round(count / 1e6, 2) == millions


def test_a_start_has_the_published_spread():
    wide = ResNet(18, 32, 10)
    params = wide.init(Seeds(0))
    assert isinstance(wide, Net)
    assert {name: tuple(value.shape) for name, value in params.items()} == wide.layout()
    for name, value in params.items():
        if value.dim() == 4:
            assert value.std().item() == pytest.approx(math.sqrt(2 / (value.shape[0] * value.shape[2] ** 2)), rel=0.1), name
        elif "running_var" in name or name.endswith("normalization.weight"):
            assert (value == 1).all(), name
        elif not name.startswith("classifier"):
            assert (value == 0).all(), name
    assert torch.equal(params["classifier.1.bias"], wide.init(Seeds(0))["classifier.1.bias"])


def test_members_are_evaluated_each_by_itself(trained):
    own, shared = NET.apply(trained.params, X.view(2, 12, 3, 32, 32)), predict(NET, trained.params, X[:5])
    for k, alone in enumerate(unstack(trained.params)):
        torch.testing.assert_close(own[k], NET.apply(alone, X.view(2, 12, 3, 32, 32)[k]))
        torch.testing.assert_close(shared[k], NET.apply(alone, X[:5]))


def test_predictions_do_not_depend_on_the_batch(trained):
    """Evaluation is by running statistics."""
    torch.testing.assert_close(predict(NET, trained.params, X), predict(NET, trained.params, X, batch=5), rtol=1e-4, atol=1e-5)


def test_a_member_is_trained_as_torch_trains_it(starts, trained):
    """SGD with momentum and decay, a rate that falls to a tenth after two steps, batch statistics in training."""
    for k, start in enumerate(unstack(starts)):
        module, order = NET.trainable(start), Order(torch.arange(24), NODES[k])
        sgd = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
        fall = torch.optim.lr_scheduler.StepLR(sgd, 2, 0.1)
        for step in range(4):
            rows = order.take(8)
            loss = F.cross_entropy(module(NET.standardised(X[rows])).logits, Y[rows])
            torch.testing.assert_close(trained.losses[step, k], loss.detach(), rtol=1e-4, atol=1e-5)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            fall.step()
        module.eval()
        with torch.no_grad():
            expected = module(NET.standardised(X)).logits
        torch.testing.assert_close(NET.apply(unstack(trained.params)[k], X), expected, rtol=1e-3, atol=1e-4)
        assert close(unstack(trained.params)[k], NET.state(module))


def test_snapshots_hold_the_running_statistics_of_their_step(starts, trained):
    assert close(trained.snapshots[0], starts)
    assert close(trained.snapshots[4], trained.params)
    name = next(name for name in NET.layout() if name.endswith("running_mean"))
    means = [trained.snapshots[step][name] for step in (0, 2, 4)]
    assert (means[0] == 0).all()
    assert not torch.equal(means[1], means[2])
    shorter = train_singly(NET, starts, X, Y, schedule=tenths(2), **(SETTING | {"steps": 2}))
    assert close(trained.snapshots[2], shorter.params)


def test_a_member_does_not_depend_on_the_others(starts, trained):
    alone = {name: value[1:] for name, value in starts.items()}
    found = train_singly(NET, alone, X, Y, schedule=tenths(2), **(SETTING | {"members": 1, "seeds": NODES[1:]}))
    assert all(torch.equal(found.params[name][0], trained.params[name][1]) for name in found.params)


def test_labels_may_lack_mass_and_adamw_decays_apart_from_the_gradient(starts):
    q = 0.7 * hard(Y, 3).float()
    found = train_singly(
        NET, starts, X, torch.stack([q, q]), label_sets=[1, 0], optimiser="adamw", schedule=cosine(4),
        **(SETTING | {"hyper": Hyperparameters(lr=0.01, weight_decay=0.01)}),
    )  # fmt: skip
    module, order = NET.trainable(unstack(starts)[0]), Order(torch.arange(24), NODES[0])
    adam = torch.optim.AdamW(module.parameters(), lr=0.01, weight_decay=0.01)
    for step in range(4):
        rows = order.take(8)
        for group in adam.param_groups:
            group["lr"] = 0.01 * (1 + math.cos(math.pi * step / 4)) / 2
        log_p = module(NET.standardised(X[rows])).logits.log_softmax(-1)
        loss = -(q[rows] * log_p).sum(-1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert close(unstack(found.params)[0], NET.state(module))


def test_bags_and_augmentation_are_the_members_own(starts):
    blank = X.clone()
    blank[12:] = 0
    options = SETTING | {"subsets": [torch.arange(12)] * 2, "augment": dsa((3, 32, 32))}
    one, other = (fit(NET, starts, x, Y, members_at_once=1, **options) for x in (X, blank))
    assert close(one.params, other.params)
    plain = fit(NET, starts, X, Y, **(options | {"augment": None}))
    assert not close(plain.params, one.params)


def test_divergence_is_flagged_where_it_happens(starts):
    broken = {name: value.clone() for name, value in starts.items()}
    broken["classifier.1.bias"][1] = math.inf
    found = train_singly(NET, broken, X, Y, **SETTING)
    assert found.diverged.tolist() == [False, True]
    assert found.diverged_at.tolist() == [-1, 0]


def test_students_learn_from_labels_on_equal_terms():
    q = hard(Y, 3)
    arms = [Arm("a", q), Arm("b", 0.9 * q + 0.1 / 3), Arm("again", q.clone()), Arm("few", q, torch.arange(12))]
    found = train_students(
        NET, X, arms, students=1, steps=3, batch_size=8, lr=[0.01] * 4, momentum=0.0, weight_decay=0.01, seeds=Seeds(0),
        optimiser="adamw",
    )  # fmt: skip
    a, b, again, _ = unstack(found.params)
    assert all(torch.equal(a[name], again[name]) for name in a)
    assert not close(a, b)
    assert found.accuracy(X, Y).shape == (4, 1)


def test_rates_fall_by_their_schedules():
    assert [cosine(4)(step) for step in range(5)] == pytest.approx([1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0])
    assert [tenths(2)(step) for step in range(5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_bad_arguments(starts):
    with pytest.raises(ValueError, match="depth: got 34, allowed are 18, 50"):
        ResNet(34, 64, 10)
    with pytest.raises(ValueError, match="width: got 0"):
        ResNet(18, 0, 10)
    with pytest.raises(ValueError, match="optimiser: got 'adam', allowed are sgd, adamw"):
        train_singly(NET, starts, X, Y, optimiser="adam", **SETTING)
    with pytest.raises(ValueError, match="y: got 23 labels for 24 rows of x"):
        train_singly(NET, starts, X, Y[:-1], **SETTING)
    with pytest.raises(ValueError, match="every: got 0"):
        tenths(0)
