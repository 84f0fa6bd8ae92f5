"""The paper's own numbers, cell by cell where the spec names them."""

import pytest

from lib.distillation.known import chosen_table, convnet_table, imagenet_table


def cell(table, column="accuracy", **keys):
    found = table
    for name, value in keys.items():
        found = found[found[name] == value]
    return found[column].item()


@pytest.mark.parametrize(
    ("ipc", "method", "accuracy", "std"),
    [
        (1, "hard, R18", 0.6, 0.1),
        (10, "R18 -> R18", 23.9, 0.4),
        (50, "hard, R18", 20.4, 0.4),
        (200, "SRe2L (CutMix), R18", 57.0, 0.4),
    ],
)
def test_table_1(ipc, method, accuracy, std):
    table = imagenet_table()
    assert cell(table, ipc=ipc, method=method) == accuracy
    assert cell(table, "std", ipc=ipc, method=method) == std


def test_table_1_is_whole():
    table = imagenet_table()
    assert table.groupby("ipc").size().to_dict() == dict.fromkeys([1, 10, 50, 100, 200], 7)
    assert table["std"].notna().sum() == 15
    assert cell(table, ipc=50, method="R18 -> R50") == 53.1
    assert cell(table, ipc=1, method="CutMix, R18") == 1.6
    assert cell(table, ipc=10, method="R18 -> R18") > cell(table, ipc=50, method="hard, R18")


def test_table_2():
    table = convnet_table()
    assert len(table) == (4 + 4 + 3 + 1) + (4 + 4 + 4 + 1) + 12
    assert cell(table, task="cifar10", ipc=1, method="RaT-BPTT") == 53.2
    assert cell(table, task="tiny-imagenet", ipc=10, method="soft labels") == 27.2
    assert cell(table, task="cifar100", ipc=100, method="soft labels") == 51.3
    assert table.query("task == 'tiny-imagenet' and ipc == 100")["method"].tolist() == ["soft labels"]


def test_table_7():
    table = chosen_table()
    assert table.groupby(["task", "net"]).size().to_dict() == {
        ("cifar10", "convnet"): 4, ("cifar100", "convnet"): 4, ("imagenet", "resnet18"): 5, ("imagenet", "resnet50"): 5,
        ("tiny-imagenet", "convnet"): 4,
    }  # fmt: skip
    small = {"task": "imagenet", "net": "resnet18", "ipc": 1}
    assert [cell(table, name, **small) for name in ("epoch", "expert_accuracy", "expert_lr", "student_lr")] == [
        11,
        17.3,
        5e-4,
        1e-3,
    ]
    tiny = table[table["task"] == "tiny-imagenet"]
    assert tiny["epoch"].tolist() == [11, 50, 90, 102]
    assert tiny["student_lr"].tolist() == [0.01, 0.1, 0.1, 0.1]
    assert table[table["net"] == "resnet50"]["expert_lr"].isna().all()


def test_provenance_goes_with_the_numbers():
    for number, table in ((1, imagenet_table()), (2, convnet_table()), (7, chosen_table())):
        assert f"Table {number}, as read from" in table.attrs["source"]
