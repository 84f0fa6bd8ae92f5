"""The paper's own size: its files build the right networks; its first steps run, fewer of everything, on made-up photographs."""

import math
from dataclasses import fields, replace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt

from lib.distillation import drawing, drawing_labels
from lib.distillation.experiment import run_experiment
from lib.distillation.known import chosen_table
from lib.distillation.lessons import prepare, views_of
from lib.distillation.measures import measurements, storage_table
from lib.distillation.photographs import PHOTOGRAPHS
from lib.distillation.pool import load_task
from lib.distillation.setup import Setup
from lib.distillation.task import Task
from lib.explorers.soft_labels_scene import scene_of, small
from lib.explorers.soft_labels_widget import SoftLabelExplorer
from lib.figures import STYLE
from lib.nets.normed_convnet import NormedConvNet
from lib.population import evaluate, unstack
from lib.seeds import Seeds
from lib.studies import find
from lib.studies.params import ParamError, read_yaml

pytestmark = pytest.mark.usefixtures("one_thread")
SEEDS = Seeds(0).child("soft-labels")
FEWER = {
    "train_size": 0, "draws": 2, "ipcs": [1, 3], "epochs": [1, 2], "expert_batch": 16, "width": 8, "steps": 3, "batch_size": 16,
    "structure_ipcs": [1], "top_ks": [1, 2], "subjects": 1, "views": 2, "bins": 2, "members_at_once": 8, "device": "cpu",
}  # fmt: skip
STUDY = find("soft-labels")


def file_of(name):
    return STUDY.size_file("paper").with_name(f"{name}.yaml")


def paper(name="paper"):
    """The parameters of params/soft-labels/<name>.yaml."""
    return STUDY.study.params.parse(read_yaml(file_of(name))).model_dump()


def shaped(name, classes):
    """A task of the paper without any image."""
    source = PHOTOGRAPHS[name]
    x, y = torch.empty(0, 3, source.side, source.side, dtype=torch.uint8), torch.empty(0, dtype=torch.int64)
    names, (mean, sd) = tuple(f"{c}" for c in range(classes)), source.colours
    return Task(name, (3, source.side, source.side), names, mean, sd, x, y, x, y, x, y)


class TestFiles:
    def test_tiny_imagenet_is_a_convnet_of_four_blocks(self):
        net = Setup.of(paper() | {"device": "cpu"}).network(shaped("tiny-imagenet", 200))
        assert isinstance(net, NormedConvNet)
        assert (net.depth, net.width, net.shape) == (4, 128, (3, 64, 64))
        assert sum(map(math.prod, net.layout().values())) == 857_160
        assert net.mean == (0.485, 0.456, 0.406)

    def test_imagenet_is_a_resnet_18_or_50(self):
        for net, millions in (("resnet18", 11.69), ("resnet50", 25.56)):
            found = Setup.of(paper("imagenet") | {"device": "cpu", "net": net}).network(shaped("imagenet", 1000))
            count = sum(math.prod(shape) for name, shape in found.layout().items() if "running" not in name)
            assert round(count / 1e6, 2) == millions

    @pytest.mark.parametrize("name", ["paper", "imagenet"])
    def test_experts_and_rates_are_those_of_table_7(self, name):
        params = paper(name)
        table = chosen_table().query("task == @params['task'] and net == @params['net'] and ipc in @params['ipcs']")
        assert len(table) == len(params["ipcs"])
        assert set(table["epoch"]) <= set(params["epochs"])
        assert set(table["expert_lr"]) <= set(params["expert_lrs"])
        assert set(table["student_lr"]) <= set(params["lrs"])

    def test_the_further_file_has_every_field(self):
        assert set(read_yaml(file_of("imagenet"))) == set(STUDY.study.params.model_fields)

    def test_recipes_of_the_paper(self):
        tiny, imagenet = (Setup.of(paper(name) | {"device": "cpu"}) for name in ("paper", "imagenet"))
        task = shaped("tiny-imagenet", 200)
        expert, student = tiny.expert_recipe(task), tiny.student_recipe(task)
        assert (expert["momentum"], expert["weight_decay"], expert["batch_size"], expert["decay_every"]) == (0, 0, 256, 0)
        assert expert["augment"] is not None
        assert student["augment"] is not None
        assert (student["optimiser"], student["momentum"], student["weight_decay"]) == ("sgd", 0.9, 5e-4)
        expert, student = imagenet.expert_recipe(task), imagenet.student_recipe(task)
        assert (expert["momentum"], expert["weight_decay"], expert["decay_every"]) == (0.9, 1e-4, 30)
        assert (student["optimiser"], student["momentum"], student["weight_decay"]) == ("adamw", 0, 0.01)


@pytest.fixture(scope="module")
def convnet(stand_in):
    """Setup, what was prepared, and the outcome of paper.yaml on six made-up classes."""
    return _run(stand_in, paper() | FEWER, stand_in.kind("paper-tiny", classes=6), side=16)


@pytest.fixture(scope="module")
def resnet(stand_in):
    """The same of imagenet.yaml on pictures of many sizes, which stay in their file."""
    pictures = stand_in.kind("paper-imagenet", test=4, sizes=((44, 40), (40, 52)))
    return _run(
        stand_in, paper("imagenet") | FEWER | {"draws": 1, "steps": 2, "width": 4}, pictures, side=32, resize=40, resident=False
    )


def _run(stand_in, params, pictures, **changes):
    setup = Setup.of(params | {"task": stand_in(pictures, **changes)})
    prepared = prepare(setup, SEEDS)
    return setup, prepared, run_experiment(setup, prepared.draws, SEEDS)


@pytest.mark.parametrize("kind", ["convnet", "resnet"])
class TestFirstSteps:
    def test_every_arm_has_an_accuracy(self, kind, request):
        setup, prepared, found = request.getfixturevalue(kind)
        assert prepared.task.name == setup.task
        kinds = ["hard", "smoothing", "epoch", "temperature", "ensemble", "cutmix"] + ["rate"] * (len(setup.expert_lrs) > 1)
        assert set(found.labellers["kind"]) == set(kinds)
        for name in ("labellers", "structure", "swap", "top", "zero", "selection"):
            table = getattr(found, name)
            assert table["test"].between(0, 100).all(), name
            assert set(table["draw"]) == set(range(setup.draws))
        assert len(found.learned) == 0

    def test_measurements_are_finite(self, kind, request):
        setup, prepared, found = request.getfixturevalue(kind)
        numbers = measurements(found, prepared.table, setup)
        assert not any(name.startswith(("prototypes", "learned")) for name in numbers)
        for name in (
            "soft-hard",
            "multiplier",
            "zero/soft",
            "control-smoothing",
            "swap/first-last",
            "cutmix-soft/1",
            "selection/repair",
        ):
            assert np.isfinite(numbers[name]).all(), name

    def test_labels_are_of_unchanged_images_in_evaluation_mode(self, kind, request):
        """The stored logits are those of one image at a time: no augmentation, no batch statistics."""
        setup, prepared, _ = request.getfixturevalue(kind)
        task, draw, budget = prepared.task, prepared.draws[-1].number, prepared.draws[-1].budgets[1]
        experts = prepared.experts[setup.main_lr]
        net, params = setup.network(task), unstack(experts.after(2))[draw]
        alone = torch.cat([net.apply(params, task.x_train[row : row + 1]) for row in budget.rows.tolist()])
        torch.testing.assert_close(budget.own[setup.main_lr][1], alone.detach(), rtol=1e-3, atol=1e-4)
        views = views_of(task, budget.rows, setup, SEEDS.child("draw", draw))
        alone = torch.cat([net.apply(params, views[i : i + 1]) for i in range(len(views))])
        torch.testing.assert_close(budget.mixed_logits[1], alone.detach(), rtol=1e-3, atol=1e-4)
        right = evaluate(net, experts.after(2), task.x_validation, task.y_validation)
        assert experts.accuracy[1].tolist() == pytest.approx((100 * right.double() / len(task.y_validation)).tolist())

    def test_same_seed_same_tables(self, kind, request):
        setup, prepared, found = request.getfixturevalue(kind)
        last = replace(prepared.draws[-1], budgets=prepared.draws[-1].budgets[1:])
        again = run_experiment(setup, [last], SEEDS).labellers
        assert again["test"].tolist() == found.labellers.query("draw == @last.number and ipc == 3")["test"].tolist()


class TestSeen:
    """What the notebook shows of photographs in colour."""

    def test_figures(self, convnet):
        setup, prepared, found = convnet
        task, rows = prepared.task, prepared.draws[0].budgets[0].rows
        pictures, q = task.pictures(task.x_train[rows]), torch.full((2, len(rows), 6), 1 / 6)
        with mpl.rc_context(STYLE):
            drawing_labels.draw_examples(pictures, q, setup.epochs, task.class_names, task.y_train[rows])
            drawing.draw_budgets(found, prepared.table)
            drawing.draw_storage(storage_table(setup, task.classes, task.pixels))
        plt.close("all")

    def test_explorer(self, convnet, monkeypatch):
        monkeypatch.setattr("lib.explorers.soft_labels_scene.LIVE_STEPS", 2)
        setup, prepared, found = convnet
        scene = scene_of(prepared, found, setup, SEEDS.child("explorer"), ipc=1)
        assert scene.images.shape == (6, 16, 16, 3)
        stage = SoftLabelExplorer(scene).images.stage
        assert stage["shape"] == [16, 16, 3]
        assert (
            list(stage["pixels"][:6])
            == prepared.task.x_train[prepared.draws[0].budgets[0].rows[0], :, 0, :2].T.flatten().tolist()
        )
        accuracies = scene.train(scene.logits[0].softmax(-1))
        assert ((accuracies >= 0) & (accuracies <= 100)).all()

    def test_large_photographs_are_averaged_down_for_the_browser(self):
        large = torch.rand(2, 128, 128, 3, generator=Seeds(0).torch())
        found = small(large)
        assert found.shape == (2, 64, 64, 3)
        torch.testing.assert_close(found[1, 3, 5], large[1, 6:8, 10:12].mean((0, 1)))
        assert small(found) is found


class TestSetup:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"net": "mlp"}, "net: got 'mlp', allowed with task 'tiny-imagenet': convnet, resnet18, resnet50"),
            ({"task": "digits", "net": "resnet18"}, "net: got 'resnet18', allowed with task 'digits': mlp, convnet"),
            ({"task": "imagenet"}, "net: got 'convnet', allowed with task 'imagenet': resnet18, resnet50"),
            ({"optimiser": "adamw"}, "momentum: got 0.9, allowed with optimiser 'adamw'"),
            ({"learned_steps": 5}, "learned_steps: got 5, allowed with task 'tiny-imagenet'"),
        ],
    )
    def test_what_does_not_fit_is_refused_before_and_in_a_run(self, changes, message):
        with pytest.raises(ParamError, match=message):
            STUDY.study.params.parse(paper() | changes)
        with pytest.raises(ValueError, match=message):
            Setup.of(paper() | {"device": "cpu"} | changes)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"augmentation": "crops"}, "augmentation: got 'crops', allowed are none, dsa"),
            ({"expert_augmentation": "mixup"}, "expert_augmentation: got 'mixup', allowed are none, dsa, crops"),
            ({"optimiser": "adam"}, "optimiser: got 'adam', allowed are sgd, adamw"),
        ],
    )
    def test_unknown_kinds(self, changes, message):
        with pytest.raises(ValueError, match=message):
            Setup.of(paper() | {"device": "cpu"} | changes)

    def test_every_field_is_the_schemas(self):
        assert {field.name for field in fields(Setup)} <= set(STUDY.study.params.model_fields)

    def test_a_convnet_takes_grey_images_and_augments_them(self):
        changes = {
            "task": "digits",
            "net": "convnet",
            "width": 4,
            "depth": 2,
            "train_size": 100,
            "epochs": [1],
            "augmentation": "dsa",
            "bins": 5,
        }
        setup = Setup.of(paper() | FEWER | changes | {"draws": 1, "ipcs": [1], "top_ks": [1], "expert_augmentation": "dsa"})
        found = prepare(setup, SEEDS)
        assert found.task.x_train.shape == (100, 64)
        outcome = run_experiment(setup, found.draws, SEEDS)
        assert outcome.labellers["test"].between(0, 100).all()


def test_whole_training_parts_are_the_default(stand_in):
    name = stand_in(stand_in.kind("all-of-it"))
    assert len(load_task(name).y_train) == 120 - 8
