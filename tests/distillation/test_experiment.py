"""The soft-label experiment: equal terms for all arms, choices by validation alone, draws that depend on nothing beside them."""

import dataclasses
import pickle
from functools import partial

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from lib.distillation import drawing, drawing_labels, drawing_tradeoff
from lib.distillation.experiment import chosen, joined, labellers, prototype_labellers, run_draw, run_experiment
from lib.distillation.labels import (
    ensemble,
    entropy,
    hard,
    jensen_shannon,
    mean_rest,
    remove_label,
    shuffled_rest,
    smoothed,
    smoothing_of_entropy,
    soften,
    swap_k,
    top_k,
)
from lib.distillation.learning import compare_learned, nearness
from lib.distillation.lessons import class_centres, prepare, views_of
from lib.distillation.measures import measurements, storage_table
from lib.distillation.pool import fingerprint
from lib.distillation.selection import difficulty_bins
from lib.distillation.setup import Setup
from lib.distillation.structure import CONTROL, RANDOM, Lesson, own_labels, swap_ranks
from lib.distillation.students import Arm
from lib.distillation.tradeoff import envelope_table, label_arms, scaling_curves
from lib.distillation.tuning import tuned
from lib.figures import STYLE
from lib.seeds import Seeds

SEEDS = Seeds(0).child("soft-labels")
PARAMS = {
    "task": "digits", "train_size": 300, "draws": 2, "ipcs": [1, 3], "epochs": [1, 2, 8], "expert_lrs": [0.05, 0.2],
    "expert_batch": 32, "width": 16, "depth": 1, "temperatures": [2.0], "steps": 40, "batch_size": 64, "lrs": [0.05, 0.3],
    "momentum": 0.9, "weight_decay": 5e-4, "structure_ipcs": [1, 3], "structure_epoch": 0, "top_ks": [0, 2, 10], "subjects": 2,
    "learned_steps": 2, "bins": 3, "members_at_once": 64, "device": "cpu",
}  # fmt: skip
FRAMES = ("labellers", "structure", "swap", "top", "zero", "selection", "learned", "nearness")


def small(**changes):
    return Setup.of(PARAMS | changes)


@pytest.fixture(scope="module")
def prepared():
    return prepare(small(), SEEDS)


@pytest.fixture(scope="module")
def outcome(prepared):
    return run_experiment(small(), prepared.draws, SEEDS)


@pytest.fixture(scope="module")
def mixed():
    """Setup with CutMix, what was prepared, and draw 1."""
    setup = small(views=3, learned_steps=0)
    found = prepare(setup, SEEDS)
    return setup, found, run_draw(found.draws[1], setup, SEEDS)


@pytest.fixture
def lessons(prepared, outcome):
    """Draw 0 at each budget."""
    tables = [outcome.labellers.query("draw == 0 and ipc == @ipc") for ipc in small().ipcs]
    own = SEEDS.child("draw", 0)
    budgets = zip(prepared.draws[0].budgets, tables, strict=True)
    return [Lesson.of(prepared.task, budget, small(), own, table) for budget, table in budgets]


@pytest.fixture
def lesson(lessons):
    """Draw 0 at one image a class."""
    return lessons[0]


def images(prepared, draw, budget):
    rows = prepared.draws[draw].budgets[budget].rows
    return prepared.task.x_train[rows], prepared.task.y_train[rows]


class TestSetup:
    def test_picks_its_fields_out_of_a_studys_parameters(self):
        setup = Setup.of(PARAMS | {"seed": 7, "title": "no field of a setup"})
        assert setup.ipcs == (1, 3)
        assert setup.main_lr == 0.2

    def test_auto_is_decided_at_once(self):
        assert small(device="auto").device in ("cpu", "cuda")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"task": "letters"}, "task: got 'letters', allowed are digits"),
            ({"ipcs": [5, 1]}, r"ipcs: got \[5, 1\], allowed are ascending"),
            ({"ipcs": []}, r"ipcs: got \[\]"),
            ({"epochs": [0, 1]}, r"epochs: got \[0, 1\], allowed are ascending whole numbers >= 1"),
            ({"lrs": [0.1, 0.1]}, r"lrs: got \[0.1, 0.1\], allowed are different"),
            ({"expert_lrs": []}, r"expert_lrs: got \[\]"),
            ({"temperatures": [1.0, 2.0]}, r"temperatures: got \[1.0, 2.0\], allowed are others than 1"),
            ({"structure_ipcs": [1, 2]}, r"structure_ipcs: got \[1, 2\], allowed are some of ipcs = \[1, 3\]"),
            ({"structure_epoch": 3}, r"structure_epoch: got 3, allowed are 0 and epochs = \[1, 2, 8\]"),
        ],
    )
    def test_refuses_what_does_not_fit(self, changes, message):
        with pytest.raises(ValueError, match=message):
            small(**changes)

    @pytest.mark.parametrize("count", [0, 11])
    def test_subjects_are_classes(self, count):
        with pytest.raises(ValueError, match=f"subjects: got {count}, allowed are 1 to 10"):
            prepare(small(subjects=count, epochs=[1]), SEEDS)


class TestPrepared:
    def test_budgets_are_nested_and_draws_differ(self, prepared):
        few, many = (set(budget.rows.tolist()) for budget in prepared.draws[0].budgets)
        assert few < many
        assert few != set(prepared.draws[1].budgets[0].rows.tolist())

    def test_each_draw_has_its_own_expert_and_all_share_the_ensemble(self, prepared):
        for d, draw in enumerate(prepared.draws):
            for b, budget in enumerate(draw.budgets):
                x, _ = images(prepared, d, b)
                for e, epoch in enumerate(small().epochs):
                    for lr, experts in prepared.experts.items():
                        torch.testing.assert_close(budget.own[lr][e].double(), experts.logits(epoch, x)[d])
                    together = ensemble(prepared.experts[0.2].logits(epoch, x))
                    torch.testing.assert_close(budget.together[e].double(), together, atol=1e-6, rtol=1e-6)

    def test_a_draw_does_not_depend_on_the_number_of_draws(self, prepared):
        alone, beside = prepare(small(draws=1), SEEDS).draws[0], prepared.draws[0]
        for one, other in zip(alone.budgets, beside.budgets, strict=True):
            assert torch.equal(one.rows, other.rows)
            torch.testing.assert_close(one.own[0.2], other.own[0.2], atol=1e-5, rtol=1e-5)

    def test_a_draw_travels_light(self, prepared):
        setup, size = small(), len(pickle.dumps(prepared.draws[1]))
        numbers = sum((len(setup.expert_lrs) + 2) * len(setup.epochs) * 10 * n + n * 64 for n in (10, 30))
        numbers += (len(setup.epochs) * 10 + 2) * setup.bins * 30
        assert size < 4 * numbers + 4 * len(setup.epochs) * 2 * 10 * 10 + 20_000

    def test_table_has_every_expert(self, prepared):
        assert prepared.table.groupby(["draw", "expert_lr"]).size().tolist() == [3] * 4
        x, y = prepared.task.x_test, prepared.task.y_test
        right = (prepared.experts[0.2].logits(8, x)[1].argmax(1) == y).double().mean().item()
        row = prepared.table.query("draw == 1 and expert_lr == 0.2 and epoch == 8")
        assert row["test"].item() == pytest.approx(100 * right)

    def test_images_are_chosen_by_the_own_experts_last_losses(self, prepared):
        task, truth = prepared.task, torch.arange(10).repeat_interleave(3)
        for d, draw in enumerate(prepared.draws):
            assert draw.budgets[0].selection is None
            chosen_rows = draw.budgets[1].selection.rows
            z = prepared.experts[0.2].logits(8, task.x_train)[d]
            losses = torch.nn.functional.cross_entropy(z, task.y_train, reduction="none")
            bins = difficulty_bins(losses, task.y_train, 3)
            for rows, allowed in zip(chosen_rows, bins, strict=True):
                assert set(rows.tolist()) <= set(allowed.tolist())
                assert torch.equal(task.y_train[rows], truth)
            expected = prepared.experts[0.2].logits(2, task.x_train[chosen_rows.flatten()])[d]
            torch.testing.assert_close(draw.budgets[1].selection.logits[1].double(), expected, atol=1e-5, rtol=1e-5)

    def test_too_many_bins_are_refused_before_any_training(self):
        with pytest.raises(ValueError, match=r"bins: got 60, allowed with 3 of each class out of a bin are 1 to \d+"):
            prepare(small(bins=60, expert_lrs=[1e30]), SEEDS)

    def test_one_centre_a_class_is_the_class_mean(self, prepared):
        task = prepared.task
        means = torch.stack([task.x_train[task.y_train == c].mean(0) for c in range(10)])
        torch.testing.assert_close(class_centres(task, 1, Seeds(0)), means, atol=1e-5, rtol=1e-5)

    def test_subjects_run_from_the_hardest_to_the_easiest_class(self, prepared):
        task, experts = prepared.task, prepared.experts[0.2]
        right = (experts.logits(8, task.x_validation).argmax(-1) == task.y_validation).double().mean(0)
        accuracy = np.array([right[task.y_validation == c].mean() for c in range(10)])
        hardest, easiest = prepared.draws[0].subjects
        assert accuracy[hardest] == pytest.approx(accuracy.min())
        assert accuracy[easiest] == pytest.approx(accuracy.max())


class TestLabellers:
    def test_kinds_and_their_entropies(self, prepared):
        ways = labellers(prepared.draws[0].budgets[1], images(prepared, 0, 1)[1], small())
        kinds = ["hard", "smoothing", *["epoch"] * 3, *["temperature"] * 3, *["rate"] * 3, *["ensemble"] * 3]
        assert [way.kind for way in ways] == kinds
        assert len({way.name for way in ways}) == len(ways)
        cold, warm = (torch.stack([entropy(way.q) for way in ways if way.kind == kind]) for kind in ("epoch", "temperature"))
        assert (warm > cold).all()

    def test_an_ensemble_of_one_is_that_expert(self):
        found = prepare(small(draws=1, epochs=[2]), SEEDS)
        ways = {way.kind: way for way in labellers(found.draws[0].budgets[0], images(found, 0, 0)[1], small(epochs=[2]))}
        torch.testing.assert_close(ways["ensemble"].q, ways["epoch"].q, atol=1e-6, rtol=1e-6)

    def test_prototypes_are_labelled_by_their_class_and_by_the_expert(self, prepared):
        budget, truth = prepared.draws[1].budgets[0], images(prepared, 1, 0)[1]
        hard, *soft = prototype_labellers(budget, truth, small())
        assert hard.q.argmax(1).tolist() == list(range(10))
        expected = soften(prepared.experts[0.2].logits(8, budget.prototypes)[1])
        torch.testing.assert_close(soft[-1].q, expected, atol=1e-6, rtol=1e-6)

    def test_each_cutmix_view_has_the_own_experts_label(self, prepared, mixed):
        setup, found, _ = mixed
        budget, own = found.draws[1].budgets[1], SEEDS.child("draw", 1)
        views = views_of(found.task, budget.rows, setup, own)
        assert len(views) == 3 * len(budget.rows)
        torch.testing.assert_close(
            budget.mixed_logits[-1].double(), prepared.experts[0.2].logits(8, views)[1], atol=1e-5, rtol=1e-5
        )
        assert not torch.equal(views, views_of(found.task, budget.rows, setup, SEEDS.child("draw", 0)))

    def test_cutmix_students_learn_from_views_and_leave_all_else_alone(self, outcome, mixed):
        setup, found, tables = mixed
        again = tables.labellers.query("kind == 'cutmix'")
        assert again.groupby("ipc")["epoch"].apply(list).tolist() == [[1, 2, 8]] * 2
        assert (again["images"] == "cutmix").all()
        rest = tables.labellers.query("kind != 'cutmix'").reset_index(drop=True)
        pd.testing.assert_frame_equal(rest, outcome.labellers.query("draw == 1").reset_index(drop=True))
        budget, own = found.draws[1].budgets[0], SEEDS.child("draw", 1)
        views, q = views_of(found.task, budget.rows, setup, own), soften(budget.mixed_logits[2])
        alone = tuned(found.task, views, [Arm("alone", q)], setup, own.child("students")).table(found.task).iloc[0]
        row = again.query("ipc == 1 and epoch == 8").iloc[0]
        assert row["test"] == pytest.approx(alone["test"], abs=1)
        assert row["entropy"] == pytest.approx(entropy(q).mean().item())
        truth = found.task.y_train[budget.rows].repeat(3)
        assert row["argmax_error"] == pytest.approx(100 * (q.argmax(1) != truth).double().mean().item())

    def test_cutmix_has_a_curve(self, prepared, mixed):
        lines = drawing.draw_budgets(mixed[2], prepared.table).axes[0].lines
        assert "CutMix, a label for each view" in [line.get_label() for line in lines]
        plt.close("all")


class TestExperiment:
    def test_one_row_for_each_draw_budget_and_arm(self, outcome):
        assert outcome.labellers.groupby(["draw", "ipc"]).size().tolist() == [14 + 4] * 4
        assert outcome.structure.groupby(["draw", "ipc"]).size().tolist() == [4] * 4
        assert outcome.swap.groupby(["draw", "ipc"])["k"].apply(list).tolist() == [list(range(10))] * 4
        assert outcome.top.groupby(["draw", "ipc", "epoch"])["k"].apply(list).tolist() == [[0, 2, 10]] * (4 * 3)
        assert outcome.zero.groupby(["draw", "ipc"]).size().tolist() == [2 * 4] * 4
        assert outcome.selection.groupby(["draw", "ipc", "labels"])["bin"].apply(list).tolist() == [[0, 1, 2, RANDOM]] * 4
        assert set(outcome.selection["ipc"]) == {3}
        assert outcome.learned.groupby(["draw", "ipc"]).size().tolist() == [4] * 2
        for name in ("labellers", "structure", "swap", "top", "zero", "learned"):
            assert getattr(outcome, name)["test"].between(0, 100).all()

    def test_same_seed_same_tables_in_any_order(self, prepared, outcome):
        again = run_experiment(small(), prepared.draws, SEEDS, lambda one, draws: [one(d) for d in reversed(draws)][::-1])
        for name in FRAMES:
            pd.testing.assert_frame_equal(getattr(again, name), getattr(outcome, name))

    def test_draws_may_be_computed_elsewhere(self, prepared, outcome):
        one, draw = pickle.loads(pickle.dumps((partial(run_draw, setup=small(), seeds=SEEDS), prepared.draws[1])))
        alone = one(draw).labellers
        pd.testing.assert_frame_equal(alone, outcome.labellers.query("draw == 1").reset_index(drop=True))

    def test_all_arms_but_prototypes_have_the_same_images(self, prepared, outcome):
        for (draw, ipc), rows in outcome.labellers.groupby(["draw", "ipc"]):
            mine = fingerprint(prepared.draws[draw].budgets[small().ipcs.index(ipc)].rows)
            assert set(rows["images"]) == {mine, "prototypes"}
            assert rows.loc[rows["images"] == "prototypes", "kind"].str.startswith("prototypes").all()

    def test_students_without_steps_worth_the_name_are_all_equal(self, prepared):
        setup = small(lrs=[1e-30], learned_steps=0)
        found = run_draw(prepared.draws[0], setup, SEEDS)
        assert found.labellers.groupby("ipc")["test"].nunique().tolist() == [1, 1]
        assert found.labellers["test"].nunique() == 1
        assert found.swap["test"].nunique() == 1

    def test_entropy_and_errors_are_those_of_the_labels(self, prepared, outcome):
        x, y = images(prepared, 1, 1)
        q = soften(prepared.experts[0.2].logits(2, x)[1])
        row = outcome.labellers.query("draw == 1 and ipc == 3 and kind == 'epoch' and epoch == 2")
        assert row["entropy"].item() == pytest.approx(entropy(q).mean().item(), rel=1e-5)
        assert row["argmax_error"].item() == pytest.approx(100 * (q.argmax(1) != y).double().mean().item())

    def test_temperature_changes_no_argmax(self, outcome):
        wide = outcome.labellers.pivot_table(index=["draw", "ipc", "epoch"], columns="kind", values="argmax_error")
        assert (wide["temperature"] == wide["epoch"]).all()

    def test_learned_labels_can_be_left_out(self, prepared):
        found = run_draw(prepared.draws[0], small(learned_steps=0), SEEDS)
        assert len(found.learned) == len(found.nearness) == len(found.comparisons) == 0
        assert not any(name.startswith("learned") for name in measurements(found, prepared.table, small(learned_steps=0)))

    def test_divergence_is_named(self, prepared):
        with pytest.raises(RuntimeError, match="arm 'hard, rate 1e"):
            run_draw(prepared.draws[0], small(lrs=[1e30]), SEEDS)

    def test_nothing_to_join(self):
        with pytest.raises(ValueError, match="outcomes: got none"):
            joined([])


class TestChoices:
    def test_rate_is_the_one_best_on_validation(self, prepared, outcome):
        x, y = images(prepared, 0, 0)
        ways = labellers(prepared.draws[0].budgets[0], y, small())
        seeds = SEEDS.child("draw", 0, "students")
        found = tuned(prepared.task, x, [Arm(way.name, way.q) for way in ways], small(), seeds)
        table = outcome.labellers.query("draw == 0 and ipc == 1 and images != 'prototypes'")
        assert found.validation.amax(0).tolist() == table["validation"].tolist()
        tests = found.students.accuracy(prepared.task.x_test, prepared.task.y_test).view(2, -1)
        best = found.validation.argmax(0)
        assert tests[best, torch.arange(len(best))].tolist() == table["test"].tolist()
        assert [small().lrs[place] for place in best] == table["lr"].tolist()

    def test_test_images_have_no_part_in_any_choice(self, prepared, monkeypatch):
        task = prepared.task
        blind = dataclasses.replace(task, x_test=torch.zeros_like(task.x_test))
        setup = small(learned_steps=0, ipcs=[1], structure_ipcs=[1])
        draw = dataclasses.replace(prepared.draws[0], budgets=prepared.draws[0].budgets[:1])
        seeing = run_draw(draw, setup, SEEDS)
        monkeypatch.setattr("lib.distillation.experiment.load_task", lambda *_, **__: blind)
        blinded = run_draw(draw, setup, SEEDS)
        kept = seeing.labellers.columns.drop("test")
        pd.testing.assert_frame_equal(blinded.labellers[kept], seeing.labellers[kept])
        assert blinded.structure["epoch"].tolist() == seeing.structure["epoch"].tolist()
        pd.testing.assert_frame_equal(blinded.top.drop(columns="test"), seeing.top.drop(columns="test"))
        assert blinded.labellers["test"].tolist() != seeing.labellers["test"].tolist()

    def test_chosen_looks_at_validation_and_takes_the_first_of_equals(self):
        rows = [(0, 1, "epoch", 1.0, 50.0, 10.0), (0, 1, "epoch", 2.0, 60.0, 20.0), (0, 1, "epoch", 4.0, 60.0, 99.0)]
        rows += [(1, 1, "epoch", 1.0, 70.0, 30.0), (1, 1, "epoch", 2.0, 60.0, 99.0), (1, 1, "hard", None, 90.0, 90.0)]
        table = pd.DataFrame(rows, columns=["draw", "ipc", "kind", "epoch", "validation", "test"])
        assert chosen(table)[["draw", "epoch", "test"]].to_numpy().tolist() == [[0, 2, 20], [1, 1, 30]]
        with pytest.raises(ValueError, match="kind: got 'warm', allowed are epoch, hard"):
            chosen(table, "warm")

    def test_labels_are_taken_apart_after_the_chosen_epoch(self, outcome, prepared):
        best = chosen(outcome.labellers).set_index(["draw", "ipc"])["epoch"]
        tables = {name: getattr(outcome, name) for name in ("structure", "swap", "zero")}
        for table in (*tables.values(), outcome.top[outcome.top["chosen"]]):
            for place, rows in table.groupby(["draw", "ipc"]):
                assert set(rows["epoch"]) == {best[place]}
        fixed = run_draw(prepared.draws[0], small(structure_epoch=2, structure_ipcs=[1], learned_steps=0), SEEDS)
        assert set(fixed.swap["epoch"]) == {2}
        assert fixed.top.groupby("ipc")["epoch"].unique().apply(list).tolist() == [[1, 2, 8], [2]]
        assert fixed.top["chosen"].equals(fixed.top["epoch"] == 2)

    def test_every_arm_takes_the_same_number_of_steps_at_every_budget(self, prepared):
        for b in range(2):
            x, y = images(prepared, 0, b)
            arms = [Arm(way.name, way.q) for way in labellers(prepared.draws[0].budgets[b], y, small())[:3]]
            losses = tuned(prepared.task, x, arms, small(), SEEDS).students.losses
            assert losses.shape == (small().steps, 2 * len(arms), 1)


class TestStructure:
    def test_controls_are_the_labellers_own_students(self, outcome):
        table = outcome.labellers.set_index(["draw", "ipc"])
        soft, hard = chosen(outcome.labellers).set_index(["draw", "ipc"])["test"], table[table["kind"] == "hard"]["test"]
        for name, key, value, expected in (
            ("structure", "arm", CONTROL, soft), ("swap", "k", 0, soft), ("top", "k", 10, soft), ("top", "k", 0, hard),
        ):  # fmt: skip
            rows = getattr(outcome, name)
            rows = rows[rows["chosen"]] if name == "top" else rows
            found = rows[rows[key] == value].set_index(["draw", "ipc"])["test"]
            assert (found == expected.loc[found.index]).all()

    def test_a_control_trained_again_is_the_same_student(self, lesson):
        assert lesson.test({CONTROL: lesson.q}) == {CONTROL: lesson.known("epoch")["test"]}

    def test_labels_are_the_own_experts(self, lesson, prepared):
        expected = soften(prepared.experts[0.2].logits(lesson.epoch, lesson.x)[0])
        torch.testing.assert_close(lesson.q, expected, atol=1e-6, rtol=1e-6)

    def test_hard_labels_teach_nothing_about_a_class_without_images(self, outcome):
        assert (outcome.zero.query("arm == 'hard without image'")["test"] == 0).all()

    def test_each_class_is_scored_by_itself(self, outcome, prepared, lesson):
        found = tuned(prepared.task, lesson.x, [Arm(CONTROL, lesson.q)], small(), lesson.seeds.child("students"))
        y = prepared.task.y_test
        by_class = [found.on_class(prepared.task, c)[CONTROL] for c in range(10)]
        whole = sum(share * (y == c).sum().item() for c, share in enumerate(by_class)) / len(y)
        assert whole == pytest.approx(lesson.known("epoch")["test"])
        control = outcome.zero.query("draw == 0 and ipc == 1 and arm == @CONTROL").set_index("subject")["test"]
        assert all(control[s] == by_class[s] for s in prepared.draws[0].subjects)

    @pytest.mark.parametrize(("classes", "ranks"), [(2, [1]), (10, list(range(1, 10))), (13, list(range(1, 13)))])
    def test_few_ranks_are_all_swapped(self, classes, ranks):
        assert swap_ranks(classes) == ranks

    def test_many_ranks_are_thinned_from_first_to_last(self):
        ranks = swap_ranks(100)
        assert (ranks[0], ranks[1], ranks[-1]) == (1, 2, 99)
        assert len(ranks) <= 12
        assert ranks == sorted(set(ranks))

    def test_each_arm_has_the_labels_that_it_names(self, lesson, outcome):
        """Their students again, with labels made here."""
        q, truth = lesson.q, lesson.truth
        softness = smoothing_of_entropy(entropy(q).mean().item(), 10)
        ways = {
            "equal-entropy smoothing": smoothed(truth, 10, softness), "mean rest": mean_rest(q, truth),
            "shuffled rest": shuffled_rest(q, lesson.seeds.child("shuffle", 1)), **{k: swap_k(q, k) for k in range(1, 10)},
        }  # fmt: skip
        tests = lesson.test({str(name): labels for name, labels in ways.items()})
        structure, swap = (getattr(outcome, name).query("draw == 0 and ipc == 1") for name in ("structure", "swap"))
        measured = structure.set_index("arm")["test"].to_dict() | swap.set_index("k")["test"].to_dict()
        for name in ways:
            assert measured[name] == pytest.approx(tests[str(name)], abs=1)

    def test_classes_lose_their_images_or_their_label(self, lessons, outcome, prepared):
        lesson, arms = lessons[1], []
        q, truth, subjects = lesson.q, lesson.truth, prepared.draws[0].subjects
        for s in subjects:
            others = (truth != s).nonzero().flatten()
            arms += [Arm(f"no image {s}", q, others), Arm(f"no label {s}", remove_label(q, truth, s))]
        found = tuned(prepared.task, lesson.x, arms, small(), lesson.seeds.child("students"))
        for s in subjects:
            rows = outcome.zero.query("draw == 0 and ipc == 3 and subject == @s").set_index("arm")["test"]
            for name in ("no image", "no label"):
                assert rows[name] == pytest.approx(found.on_class(prepared.task, s)[f"{name} {s}"], abs=3)

    def test_labels_of_every_epoch_are_cut(self, lesson, prepared, outcome):
        """The student of the two largest of each epoch's labels, trained again by itself; its ends are the labellers'."""
        rows = outcome.top.query("draw == 0 and ipc == 1").set_index(["epoch", "k"])
        for e, epoch in enumerate(small().epochs):
            q = top_k(soften(prepared.draws[0].budgets[0].own[0.2][e]), 2, lesson.truth)
            alone = lesson.taught({"cut": q}).iloc[0]
            assert rows.loc[(epoch, 2), ["validation", "test"]].tolist() == pytest.approx(
                [alone["validation"], alone["test"]], abs=1
            )
            for name in ("lr", "validation", "test"):
                assert rows.loc[(epoch, 0), name] == lesson.known("hard")[name]
                assert rows.loc[(epoch, 10), name] == lesson.known("epoch", epoch)[name]

    def test_bins_are_trained_as_random_images_are(self, lessons, outcome, prepared):
        """The students of one bin, trained by themselves in place of the random images."""
        lesson, picked = lessons[1], prepared.draws[0].budgets[1].selection
        rows = outcome.selection.query("draw == 0").set_index(["labels", "bin"])["test"]
        q = soften(picked.logits[small().epochs.index(lesson.epoch)]).view(3, 30, 10)
        for b in range(3):
            x, arms = prepared.task.x_train[picked.rows[b]], [Arm("soft", q[b]), Arm("hard", hard(lesson.truth, 10))]
            alone = tuned(prepared.task, x, arms, small(), lesson.seeds.child("students")).table(prepared.task)
            for name, test in zip(alone["arm"], alone["test"], strict=True):
                assert rows[name, b] == pytest.approx(test, abs=1)
        assert rows["soft", RANDOM] == lesson.known("epoch")["test"]
        assert rows["hard", RANDOM] == lesson.known("hard")["test"]

    def test_an_epoch_that_is_not_stored(self, prepared):
        with pytest.raises(ValueError, match="epoch: got 4, stored are 1, 2, 8"):
            own_labels(prepared.draws[0].budgets[0], small(), 4)

    def test_too_many_probabilities_to_keep(self, prepared):
        with pytest.raises(ValueError, match="k: got 11, allowed are whole numbers 0 to 10"):
            run_draw(prepared.draws[0], small(top_ks=[11], learned_steps=0), SEEDS)


class TestLearned:
    def test_divergences_of_the_kinds_of_label(self, outcome):
        kinds = ["hard", "expert", "ensemble", "learned"]
        for _, rows in outcome.learned.groupby("draw"):
            matrix = rows.set_index("arm").loc[kinds, [f"js {kind}" for kind in kinds]].to_numpy()
            np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
            np.testing.assert_allclose(np.diag(matrix), 0, atol=1e-12)
            overlaps = rows.set_index("arm")[[f"overlap {kind}" for kind in kinds[1:]]]
            np.testing.assert_allclose(np.diag(overlaps.loc[kinds[1:]]), 1)
            assert overlaps.loc["hard"].isna().all()  # which name one class alone: there is no second likeliest
            assert "overlap hard" not in rows

    def test_known_kinds_have_their_labellers_accuracies(self, outcome):
        soft = chosen(outcome.labellers).query("ipc == 1").set_index("draw")["test"]
        assert (outcome.learned.query("arm == 'expert'").set_index("draw")["test"] == soft).all()

    def test_it_is_compared_with_the_labels_after_the_lessons_epoch(self, lesson, prepared):
        q = own_labels(lesson.budget, small(), 8)
        found = compare_learned(dataclasses.replace(lesson, epoch=8, q=q, setup=small(learned_steps=1)))
        z = prepared.experts[0.2].logits(8, lesson.x)
        expected = {"hard": torch.eye(10).double(), "expert": soften(z[0]), "ensemble": soften(z.mean(0))}
        for name, labels in expected.items():
            torch.testing.assert_close(found.labels[name], labels, atol=1e-6, rtol=1e-6)
        tests, known = found.table.set_index("arm")["test"], lesson.labellers.query("epoch == 8 and expert_lr == 0.2")
        known = known.set_index(["kind", "temperature"])["test"]
        assert tests[["expert", "ensemble"]].tolist() == [known["epoch", 1], known["ensemble", 1]]

    def test_more_steps_lower_the_outer_loss(self, prepared):
        draw = dataclasses.replace(prepared.draws[0], budgets=prepared.draws[0].budgets[:1])
        found = run_draw(draw, small(ipcs=[1], structure_ipcs=[1], learned_steps=25), SEEDS).comparisons[0]
        assert found.losses[-5:].mean() < found.losses[:5].mean()
        assert len(found.losses) == 25

    def test_nearness_by_hand(self):
        z = torch.randn(2, 3, 4, 5, generator=Seeds(1).torch(), dtype=torch.float64)
        table = nearness(soften(z[1].mean(0)), z, [1, 8])
        assert table.loc[1, "ensemble"] == pytest.approx(0, abs=1e-12)
        by_hand = [jensen_shannon(soften(z[1].mean(0)), soften(one)).mean().item() for one in z[0]]
        assert table.loc[0, "expert"] == pytest.approx(np.mean(by_hand))
        alone = nearness(soften(z[0, 1]), z[:, :1], [1, 8])
        assert alone["expert"].tolist() == pytest.approx(alone["ensemble"].tolist())


class TestFigures:
    @pytest.fixture(autouse=True)
    def style(self):
        with mpl.rc_context(STYLE):
            yield
        plt.close("all")

    def test_budgets_shows_the_means(self, outcome, prepared):
        ax = drawing.draw_budgets(outcome, prepared.table).axes[0]
        lines = {line.get_label(): line.get_ydata() for line in ax.lines}
        assert lines["hard"].tolist() == chosen(outcome.labellers, "hard").groupby("ipc")["test"].mean().tolist()
        assert lines["soft, epoch by validation"].tolist() == chosen(outcome.labellers).groupby("ipc")["test"].mean().tolist()
        assert {"soft, epoch 1", "soft, epoch 2", "soft, epoch 8", "prototypes, hard"} <= set(lines)

    def test_epochs_frames_the_best_of_each_row(self, outcome):
        budgets, warmth, _ = drawing.draw_epochs(outcome).axes
        assert len(budgets.patches) == len(warmth.patches) == 2
        cells = np.array([float(text.get_text()) for text in budgets.texts]).reshape(2, 3)
        framed = sorted((patch.get_y(), patch.get_x()) for patch in budgets.patches)
        assert all(cells[int(y), int(x)] == cells[int(y)].max() for y, x in framed)

    def test_gains_has_a_line_for_each_budget(self, outcome, prepared):
        left, right = drawing.draw_gains(outcome, prepared.table).axes
        assert [line.get_label() for line in right.lines[:2]] == ["1 per class", "3 per class"]
        np.testing.assert_allclose(left.lines[0].get_ydata(), right.lines[0].get_ydata())

    def test_top_shows_the_chosen_labels_every_arm_and_the_envelope(self, outcome):
        left, right = drawing_tradeoff.draw_top(outcome, 10).axes
        mine = outcome.top[outcome.top["chosen"]]
        np.testing.assert_allclose(left.lines[0].get_ydata(), mine[mine["k"] == 0].groupby("ipc")["test"].mean())
        arms = label_arms(outcome, 10)
        best = next(line for line in right.lines if str(line.get_label()).startswith("envelope"))
        np.testing.assert_allclose(best.get_ydata(), envelope_table(arms)["mean"])
        curves = scaling_curves(arms)
        assert len(right.lines) == 2 + curves[curves["k"] > 0].groupby(["epoch", "k"]).ngroups

    def test_storage_has_pixels_and_four_kinds_of_label(self):
        ax = drawing.draw_storage(storage_table(small(), 10, 64)).axes[0]
        heights = sorted(patch.get_height() for patch in ax.patches if patch.get_height() > 0)
        assert heights[0] == 10
        assert len(heights) == 2 * 5

    def test_swap_and_structure(self, outcome):
        swap = drawing_labels.draw_swap(outcome).axes[0]
        assert [line for line in swap.lines if len(line.get_xdata()) == 9]
        assert [ax.get_title(loc="left") for ax in drawing_labels.draw_structure(outcome).axes] == ["1 per class", "3 per class"]

    def test_selection_shows_bins_beside_random_images(self, outcome, prepared):
        pictures = prepared.task.pictures(prepared.task.x_train[:6]).unflatten(0, (3, 2))
        left, right = drawing_labels.draw_selection(outcome, pictures).axes
        assert left.images[0].get_array().shape == (3 * 8, 2 * 8)
        means = outcome.selection.query("labels == 'soft'").groupby("bin")["test"].mean()
        np.testing.assert_allclose(right.containers[0][0].get_ydata().astype(float), means[[0, 1, 2]])
        levels = [line.get_ydata()[0] for line in right.lines if line.get_linestyle() == "--"]
        assert levels[0] == pytest.approx(means[RANDOM])

    def test_similarity_puts_like_classes_side_by_side(self):
        q = torch.eye(6, dtype=torch.float64) * 0.7
        for a, b in ((0, 3), (1, 4), (2, 5)):
            q[a, b] = q[b, a] = 0.3
        ax = drawing_labels.draw_similarity(q, torch.arange(6), "abcdef").axes[0]
        order = [label.get_text() for label in ax.get_xticklabels()]
        assert {frozenset(order[i : i + 2]) for i in (0, 2, 4)} == {frozenset("ad"), frozenset("be"), frozenset("cf")}

    def test_zero_has_a_panel_for_each_budget(self, outcome, prepared):
        fig = drawing_labels.draw_zero(outcome, prepared.task.class_names)
        assert [ax.get_title(loc="left") for ax in fig.axes] == ["1 per class", "3 per class"]

    def test_labels_of_images(self, outcome, prepared):
        task, comparison = prepared.task, outcome.comparisons[0]
        pictures = task.pictures(task.x_train[comparison.rows])
        assert len(drawing_labels.draw_learned(comparison, outcome, pictures, task.class_names).axes) >= 4
        q, (_, y) = soften(prepared.draws[0].budgets[0].own[0.2])[:, :3], images(prepared, 0, 0)
        axes = drawing_labels.draw_examples(pictures[:3], q, small().epochs, task.class_names, y[:3]).axes
        assert len(axes) == 3 * (1 + 3)
        bars = [patch.get_height() for patch in axes[-1].patches]
        assert bars == pytest.approx(q[-1, -1].tolist())
