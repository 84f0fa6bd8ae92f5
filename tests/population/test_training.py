"""Training K networks as one program is training each alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib.nets import MLP, ConvNet, ModuleNet, Transformer
from lib.population import Hyperparameters, stack, train, unstack
from lib.population.streams import Dropout, Feed
from lib.seeds import Seeds

N, B, STEPS = 60, 8, 20
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(N, 6, generator=GENERATOR, dtype=torch.float64)
Y = torch.randint(4, (N,), generator=GENERATOR)
BAGS = [torch.randperm(N, generator=GENERATOR)[: 20 + 5 * k] for k in range(5)]
NET = MLP((6, 9, 7, 4))
MIXED = {
    "lr": torch.tensor([1e-3, 2e-3, 1e-3, 5e-3, 3e-3]).double(),
    "weight_decay": torch.tensor([1e-4, 1e-2, 1e-4, 0, 0.1]).double(),
    "dropout": torch.tensor([0.0, 0.1, 0.5, 0.2, 0.3]).double(),
    "noise": torch.tensor([0.3, 0.0, 0.1, 0.2, 0.5]).double(),
    "label_smoothing": torch.tensor([0.0, 0.1, 0.0, 0.2, 0.3]).double(),
}


def initial(net=NET, seed=0):
    return {name: value.double() for name, value in net.init(Seeds(seed)).items()}


def run(members=5, net=NET, x=X, y=Y, seeds=Seeds(3), subsets=BAGS, start=None, hyper=MIXED, steps=STEPS, **options):
    spread = Hyperparameters(**{name: value[:members] for name, value in hyper.items()})
    bags = None if subsets is None else subsets[:members]
    start = initial(net) if start is None else start
    shared = {"members": members, "steps": steps, "batch_size": B, "hyper": spread, "seeds": seeds, "subsets": bags}
    return train(net, start, x, y, **(shared | options))


def same(ours, theirs, **tolerance):
    assert all(torch.allclose(ours[name], theirs[name], **tolerance) for name in ours)


def equal(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def plain_loop(k, optimiser, dtype=torch.float64, fall=None, **more):
    """Member k as a user would train it alone: torch's modules, loss and optimiser; only the random numbers are ours.

    `more` goes to the optimiser; with `fall`, the rate is multiplied by it every 6 steps.
    """
    own = {name: float(value[k]) for name, value in MIXED.items()}
    seeds = [Seeds(3).child("member", k)]
    feed = Feed(X.to(dtype), Y, [BAGS[k]], B, MIXED["noise"][k : k + 1], seeds)
    drop = Dropout(MIXED["dropout"][k : k + 1], seeds)
    layers = [nn.Linear(i, o).to(dtype) for i, o in ((6, 9), (9, 7), (7, 4))]
    model = nn.ModuleList(layers)
    model.load_state_dict(dict(zip(model.state_dict(), initial().values(), strict=True)))
    update = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimiser]
    update = update(model.parameters(), lr=own["lr"], weight_decay=own["weight_decay"], **more)
    rate = torch.optim.lr_scheduler.StepLR(update, 6, 1.0 if fall is None else fall)
    losses = []
    for step in range(STEPS):
        (h,), (y,) = feed.at(step)
        drop.start(step)
        for layer in layers[:-1]:
            h = drop(F.relu(layer(h)).mT.unsqueeze(0)).squeeze(0).mT
        loss = F.cross_entropy(layers[-1](h), y, label_smoothing=own["label_smoothing"])
        update.zero_grad()
        loss.backward()
        update.step()
        rate.step()
        losses.append(loss.detach())
    return dict(zip(NET.layout(), model.parameters(), strict=True)), torch.stack(losses)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_population_equals_plain_torch_loops_with_dropout_noise_and_smoothing(optimiser):
    population = run(optimiser=optimiser)
    for k, params in enumerate(unstack(population.params)):
        theirs, losses = plain_loop(k, optimiser)
        same(params, theirs, atol=1e-9)
        torch.testing.assert_close(population.losses[:, k], losses)


def test_one_member_equals_an_ordinary_loop_after_20_sgd_steps():
    """Oracle 9: a population of one, float32."""
    hyper = {name: value[:1] for name, value in MIXED.items()}
    start = {name: value.float() for name, value in initial().items()}
    population = run(members=1, x=X.float(), start=start, hyper=hyper, optimiser="sgd")
    same(unstack(population.params)[0], plain_loop(0, "sgd", torch.float32)[0], atol=1e-5)


def test_momentum_and_a_falling_rate_equal_plain_torch_loops():
    momentum = torch.tensor([0.9, 0.0, 0.5, 0.99, 0.9]).double()
    population = run(optimiser="sgd", hyper=MIXED | {"momentum": momentum}, schedule=lambda step: 0.3 ** (step // 6))
    for k, params in enumerate(unstack(population.params)):
        theirs, losses = plain_loop(k, "sgd", fall=0.3, momentum=float(momentum[k]))
        same(params, theirs, atol=1e-9)
        torch.testing.assert_close(population.losses[:, k], losses)


def test_the_rate_falls_for_adam_too():
    population = run(optimiser="adam", schedule=lambda step: 0.3 ** (step // 6))
    for k, params in enumerate(unstack(population.params)):
        same(params, plain_loop(k, "adam", fall=0.3)[0], atol=1e-9)


def test_a_schedule_of_ones_and_no_momentum_change_no_bit():
    for optimiser in ("adam", "sgd"):
        plain = run(optimiser=optimiser)
        still = MIXED | {"momentum": torch.zeros(5).double()}
        assert equal(plain.params, run(optimiser=optimiser, hyper=still, schedule=lambda step: 1).params)


@pytest.mark.parametrize("at_once", [1, 2, None])
def test_snapshots_are_the_shorter_runs(at_once):
    population = run(snapshots=[0, 3, 7, STEPS], members_at_once=at_once)
    assert list(population.snapshots) == [0, 3, 7, STEPS]
    assert equal(population.snapshots[STEPS], population.params)
    same(population.snapshots[0], stack([initial()] * 5), atol=0)
    for steps in (3, 7):
        assert equal(population.snapshots[steps], run(steps=steps, members_at_once=at_once).params)


def test_snapshots_change_no_bit_and_none_are_kept_unasked():
    assert run().snapshots == {}
    assert equal(run().params, run(snapshots=range(STEPS + 1)).params)


def test_members_with_one_node_see_the_same_batches_whatever_they_learn():
    """Pairs: equal nodes, starts and labels give equal bits; another label set changes the labels alone."""
    node = Seeds(3).child("student")
    calm = {"lr": torch.full((4,), 1e-3).double(), "dropout": torch.full((4,), 0.2).double()}
    sets = torch.stack([F.one_hot(Y, 4), F.one_hot((Y + 1) % 4, 4)]).double()
    bags = [BAGS[0]] * 4
    population = run(4, y=sets, seeds=[node, node, node.child(0), node], label_sets=[0, 0, 0, 1], hyper=calm, subsets=bags)
    losses = population.losses
    assert torch.equal(losses[:, 0], losses[:, 1])
    assert not torch.equal(losses[:, 0], losses[:, 2])
    assert not torch.equal(losses[:, 0], losses[:, 3])
    frozen = {"lr": torch.zeros(2).double()}
    flipped = torch.stack([sets[0], 1 - sets[0]]) / torch.tensor([1.0, 3.0]).view(2, 1, 1)  # one class, the other three
    still = run(2, y=flipped, seeds=[node, node], label_sets=[0, 1], hyper=frozen, subsets=bags[:2]).losses
    means = run(1, y=torch.full_like(sets[0], 0.25), seeds=[node], hyper=frozen, subsets=bags[:1]).losses[:, 0]
    torch.testing.assert_close(0.25 * still[:, 0] + 0.75 * still[:, 1], means)  # linear in the labels on the same rows


def test_a_node_for_each_member_is_what_the_tree_would_give():
    nodes = [Seeds(3).child("member", k) for k in range(5)]
    assert equal(run().params, run(seeds=nodes).params)
    backwards = run(seeds=nodes[::-1], start=initial(), hyper={}, subsets=None)
    forwards = run(hyper={}, subsets=None)
    same(backwards.params, {name: value.flip(0) for name, value in forwards.params.items()}, atol=1e-10)


@pytest.mark.parametrize("at_once", [1, 2, None])
@pytest.mark.parametrize("soft", [False, True])
def test_label_sets_are_separate_runs(soft, at_once):
    sets = torch.stack([(Y + shift) % 4 for shift in range(3)])
    sets = F.one_hot(sets, 4).double() if soft else sets
    which = [2, 0, 1, 2, 0]
    together = run(y=sets, label_sets=which, members_at_once=at_once)
    for g in range(3):
        alone = run(y=sets[g])
        for k in (k for k in range(5) if which[k] == g):
            same(unstack(together.params)[k], unstack(alone.params)[k], atol=1e-10)


def test_targets_without_mass_teach_nothing():
    population = run(2, y=torch.zeros(N, 4).double(), hyper={}, partial_targets=True)
    assert population.losses.abs().max() == 0
    same(population.params, stack([initial()] * 2), atol=0)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_members_at_once_and_company_change_nothing(optimiser):
    whole = run(optimiser=optimiser)
    for at_once in (1, 2, 5, 9):
        parts = run(optimiser=optimiser, members_at_once=at_once)
        same(whole.params, parts.params, atol=1e-10)
        torch.testing.assert_close(whole.losses, parts.losses)
    few = run(members=2, optimiser=optimiser)
    same(few.params, {name: value[:2] for name, value in whole.params.items()}, atol=1e-10)


NETS = {
    "convnet": (
        ConvNet(side=6, channels_in=1, width=2, classes=4),
        lambda: torch.randn(N, 1, 6, 6, generator=GENERATOR).double(),
    ),
    "transformer": (Transformer(9, 6, 4, width=8, heads=2, layers=1), lambda: torch.randint(9, (N, 6), generator=GENERATOR)),
    "module": (ModuleNet(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(), nn.Linear(5, 4)).double(), 2), lambda: X),
}


@pytest.mark.parametrize("name", NETS)
def test_other_nets_train_alike_alone_and_in_company(name):
    net, make = NETS[name]
    x = make()
    hyper = MIXED if x.is_floating_point() else {key: value for key, value in MIXED.items() if key != "noise"}
    whole = run(3, net, x, hyper=hyper, steps=8)
    same(whole.params, run(3, net, x, hyper=hyper, steps=8, members_at_once=1).params, atol=1e-9)
    assert not whole.diverged.any()


def test_each_member_may_have_its_own_start():
    starts = [initial(seed=k) for k in range(3)]
    together = run(3, start=stack(starts))
    for k in range(3):
        alone = run(3, start=starts[k])
        same(unstack(together.params)[k], unstack(alone.params)[k], atol=1e-10)


def test_training_leaves_the_start_and_the_data_alone():
    start, x = initial(), X.clone()
    run(start=start)
    assert equal(start, initial())
    assert torch.equal(x, X)


def test_same_seed_same_bits_and_other_seeds_differ():
    one, again, other = run(), run(), run(seeds=Seeds(4))
    assert equal(one.params, again.params)
    assert torch.equal(one.losses, again.losses)
    assert not equal(one.params, other.params)


def test_members_with_equal_settings_differ_by_their_streams_alone():
    plain = {"lr": torch.full((2,), 1e-3).double()}
    population = run(2, hyper=plain, subsets=None)
    assert not torch.equal(population.losses[:, 0], population.losses[:, 1])


def test_a_member_never_sees_rows_outside_its_bag():
    for k in range(3):
        poisoned = torch.full_like(X, torch.nan)
        poisoned[BAGS[k]] = X[BAGS[k]]
        clean, dirty = run(5), run(5, x=poisoned)
        assert not dirty.diverged[k]
        assert torch.equal(clean.losses[:, k], dirty.losses[:, k])


@pytest.mark.parametrize("name", ["mlp", *NETS])
@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_diverging_member_is_named_and_touches_no_other(name, optimiser):
    net, make = NETS.get(name, (NET, lambda: X))
    x, calm = make(), {"lr": torch.full((4,), 1e-3, dtype=torch.float64)}
    wild = {"lr": torch.tensor([1e-3, 1e300, 1e-3, 1e-3], dtype=torch.float64)}
    population, peer = run(4, net, x, hyper=wild, optimiser=optimiser), run(4, net, x, hyper=calm, optimiser=optimiser)
    assert population.diverged.tolist() == [False, True, False, False]
    assert population.diverged_at[[0, 2, 3]].tolist() == [-1, -1, -1]
    step = int(population.diverged_at[1])
    assert 0 < step <= STEPS
    assert population.losses[:step, 1].isfinite().all()
    for k in (0, 2, 3):
        same(unstack(population.params)[k], unstack(peer.params)[k], rtol=1e-9, atol=1e-12)


def test_parameters_lost_in_the_last_step_count_as_diverged():
    wild = {"lr": torch.tensor([1e-3, 1e308], dtype=torch.float64)}
    population = run(2, hyper=wild, optimiser="sgd", steps=1, x=X * 1e10)
    assert population.losses.isfinite().all()
    assert population.diverged.tolist() == [False, True]
    assert population.diverged_at.tolist() == [-1, 1]


def test_soft_targets_that_are_one_hot_train_as_class_numbers():
    hard, soft = run(), run(y=F.one_hot(Y, 4).double())
    same(hard.params, soft.params, atol=1e-10)


def test_narrow_label_types_are_class_numbers_too():
    assert equal(run().params, run(y=Y.to(torch.uint8)).params)


def test_bags_smaller_than_a_batch_wrap_around():
    population = run(2, subsets=[torch.tensor([3]), torch.tensor([1, 2])])
    assert population.losses.isfinite().all()


def test_progress_is_told_every_step_up_to_the_whole():
    seen = []
    run(5, steps=4, members_at_once=2, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == [2, 4, 6, 8, 10, 12, 14, 16, 17, 18, 19, 20]
    assert {total for _, total in seen} == {20}


def test_a_population_learns():
    x = torch.randn(400, 6, generator=GENERATOR, dtype=torch.float64)
    y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    population = run(3, x=x, y=y, subsets=None, hyper={"lr": torch.full((3,), 1e-2).double()}, steps=300)
    assert (population.losses[-20:].mean(0) < 0.25).all()
