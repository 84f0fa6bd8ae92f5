"""Hyper-parameters: a number or one value per member, within bounds."""

import math

import pytest
import torch

from lib.population import Hyperparameters


def test_numbers_and_tensors_become_one_value_per_member():
    each = Hyperparameters(lr=torch.tensor([0.1, 0.2]), dropout=0.5, noise=1).per_member(2)
    assert {name: value.tolist() for name, value in each.items()} == {
        "lr": [pytest.approx(0.1), pytest.approx(0.2)],
        "weight_decay": [0, 0],
        "dropout": [0.5, 0.5],
        "noise": [1, 1],
        "label_smoothing": [0, 0],
        "momentum": [0, 0],
        "clip": [0, 0],
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("lr", -1e-3, r"lr: got \[-0.001\], allowed is \[0, inf\)"),
        ("lr", math.inf, r"lr: got \[inf\]"),
        ("lr", math.nan, r"lr: got \[nan\]"),
        ("weight_decay", torch.tensor([0.1, -0.5]), r"weight_decay: got \[-0.5\]"),
        ("dropout", 1.0, r"dropout: got \[1.0\], allowed is \[0, 1\)"),
        ("noise", -0.1, r"noise: got \[-0.1\]"),
        ("label_smoothing", 1.5, r"label_smoothing: got \[1.5\], allowed is \[0, 1\]"),
        ("momentum", 1.0, r"momentum: got \[1.0\], allowed is \[0, 1\)"),
        ("lr", torch.ones(2, 2), r"lr: got shape \(2, 2\), allowed are a number or a tensor \[K\]"),
    ],
)
def test_values_out_of_bounds_are_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        Hyperparameters(**{field: value})


def test_another_number_of_values_than_members_is_named():
    with pytest.raises(ValueError, match="lr: got 3 values, allowed are 1 or members = 2"):
        Hyperparameters(lr=torch.ones(3)).per_member(2)
