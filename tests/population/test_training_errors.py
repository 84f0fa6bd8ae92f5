"""Every bad argument of `train` is named."""

import pytest
import torch

from lib.nets import MLP, Transformer
from lib.population import Hyperparameters, stack, train
from lib.seeds import Seeds

NET = MLP((6, 5, 4))
START = NET.init(Seeds(0))
X, Y = torch.zeros(10, 6), torch.zeros(10, dtype=torch.long)
TOKENS, TEXT = Transformer(9, 6, 4, width=8, heads=2), torch.zeros(10, 6, dtype=torch.long)
LINEAR = MLP((6, 4))
MISSING = {name: value for name, value in START.items() if name != "layer1.bias"}
BROKEN = stack([START, {name: value * torch.nan for name, value in START.items()}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": 0}, "members: got 0, allowed are whole numbers >= 1"),
        ({"steps": 0}, "steps: got 0"),
        ({"batch_size": -1}, "batch_size: got -1"),
        ({"members_at_once": 0}, "members_at_once: got 0"),
        ({"optimiser": "lion"}, "optimiser: got 'lion', allowed are adam, sgd"),
        ({"initial": MISSING}, "initial: 'layer1.bias' is missing"),
        ({"initial": START | {"extra": X}}, "initial: 'extra' is no parameter of the net"),
        ({"initial": START | {"layer1.bias": X}}, r"'layer1.bias' has shape \(10, 6\), allowed are \(4,\) or \(2, 4\)"),
        ({"initial": stack([START] * 3)}, r"'layer0.weight' has shape \(3, 5, 6\), allowed are \(5, 6\) or \(2, 5, 6\)"),
        ({"initial": START | {"layer1.bias": torch.zeros(4).double()}}, "initial: got dtypes"),
        ({"initial": BROKEN}, "params: member 1 has non-finite values in 'layer0.weight'"),
        ({"x": X[:0], "y": Y[:0]}, "y: got 0 labels for 0 rows"),
        ({"y": Y[:9]}, "y: got 9 labels for 10 rows"),
        ({"y": Y - 1}, r"y: .* -1 to -1, allowed is \(n,\), 0 to 3"),
        ({"y": Y + 4}, "4 to 4"),
        ({"y": torch.zeros(10, 2, dtype=torch.long)}, r"y: shape \(10, 2\)"),
        ({"y": torch.full((10, 3), 1 / 3)}, r"y: distributions of shape \(10, 3\), allowed is \(n, 4\)"),
        ({"y": torch.full((10, 4), 0.3)}, "y: got rows that are no distributions"),
        ({"y": torch.tensor([[-1.0, 1.0, 1.0, 0.0]]).expand(10, 4)}, "y: got rows that are no distributions"),
        ({"y": torch.full((10, 4), 0.2)}, "y: got rows that are no distributions, allowed are entries >= 0 that sum to 1"),
        ({"y": torch.full((10, 4), 0.25001), "partial_targets": True}, "no parts of distributions, .* sum to at most 1"),
        ({"y": torch.full((10, 4), -0.1), "partial_targets": True}, "no parts of distributions"),
        ({"y": torch.full((10, 4), torch.nan), "partial_targets": True}, "no parts of distributions"),
        ({"y": torch.full((10, 3), 0.1), "partial_targets": True}, r"y: distributions of shape \(10, 3\), allowed is \(n, 4\)"),
        ({"y": torch.full((3, 10, 4), 0.25)}, "y: got 3 labels for 10 rows"),
        ({"y": torch.full((10, 10, 4), 0.25)}, r"y: distributions of shape \(10, 10, 4\), allowed is \(n, 4\)"),
        ({"label_sets": [0, 0]}, r"y: got shape \(10,\) with label_sets, allowed are \(sets, n\) and \(sets, n, classes\)"),
        ({"y": torch.full((10, 4), 0.25), "label_sets": [0, 0]}, r"y: got shape \(10, 4\) with label_sets"),
        ({"y": Y.expand(3, 10), "label_sets": [0]}, "label_sets: got 1, allowed is one for each of 2 members"),
        ({"y": Y.expand(3, 10), "label_sets": [0, 3]}, "label_sets: got 0 to 3, allowed are 0 to 2"),
        ({"y": Y.expand(3, 10), "label_sets": [-1, 0]}, "label_sets: got -1 to 0"),
        ({"y": Y[:9].expand(3, 9), "label_sets": [1, 0]}, "y: got 9 labels for 10 rows"),
        ({"y": Y.expand(3, 10) + 4, "label_sets": [1, 0]}, "4 to 4"),
        ({"seeds": [Seeds(0)]}, "seeds: got 1, allowed is one node, or one for each of 2 members"),
        ({"snapshots": [0, 2]}, r"snapshots: got \[0, 2\], allowed are ascending steps from 0 to 1"),
        ({"snapshots": [1, 0]}, r"snapshots: got \[1, 0\]"),
        ({"snapshots": [1, 1]}, r"snapshots: got \[1, 1\]"),
        ({"snapshots": [-1]}, r"snapshots: got \[-1\]"),
        ({"schedule": lambda step: -1}, "schedule: got factor -1.0 at step 0, allowed are finite numbers >= 0"),
        ({"schedule": lambda step: float("nan")}, "schedule: got factor nan at step 0"),
        ({"hyper": Hyperparameters(momentum=0.9)}, "momentum: got 0.9 for optimiser adam, allowed is 0 there"),
        ({"x": X.double()}, "x: has dtype torch.float64, the parameters torch.float32"),
        ({"x": X[:, :5]}, "x: rows of width 5"),
        ({"subsets": [torch.arange(3)]}, "subsets: got 1, allowed is one for each of 2 members"),
        ({"subsets": [torch.arange(3), torch.arange(0)]}, "subsets: member 1 has no rows"),
        ({"subsets": [torch.arange(3), torch.tensor([10])]}, "subsets: member 1 has rows 10 to 10, allowed are 0 to 9"),
        ({"subsets": [torch.arange(3), torch.tensor([-1])]}, "subsets: member 1 has rows -1 to -1"),
        (
            {"subsets": [torch.arange(3), torch.ones(10).bool()]},
            "subsets: member 1 has dtype torch.bool, allowed are row numbers",
        ),
        ({"hyper": Hyperparameters(lr=torch.ones(3))}, "lr: got 3 values, allowed are 1 or members = 2"),
        (
            {"net": TOKENS, "initial": TOKENS.init(Seeds(0)), "x": TEXT, "hyper": Hyperparameters(noise=0.1)},
            "noise: got 0.1 for x of dtype torch.int64, allowed is 0 there",
        ),
        (
            {"net": LINEAR, "initial": LINEAR.init(Seeds(0)), "hyper": Hyperparameters(dropout=0.5)},
            "dropout: got 0.5, allowed is 0: this net has nowhere to drop",
        ),
    ],
)
def test_it_is_named(change, message):
    options = {"net": NET, "initial": START, "x": X, "y": Y, "members": 2, "steps": 1, "batch_size": 4}
    options |= {"hyper": Hyperparameters(), "seeds": Seeds(0)} | change
    with pytest.raises(ValueError, match=message):
        train(**options)
