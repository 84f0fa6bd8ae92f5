"""Hyper-parameters of a population: one number for all members, or one for each."""

from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

_BOUNDS = {  # name: (lowest, highest, whether highest itself is allowed)
    "lr": (0.0, float("inf"), False),
    "weight_decay": (0.0, float("inf"), False),
    "dropout": (0.0, 1.0, False),
    "noise": (0.0, float("inf"), False),
    "label_smoothing": (0.0, 1.0, True),
    "momentum": (0.0, 1.0, False),
    "clip": (0.0, float("inf"), False),
}


@dataclass(frozen=True)
class Hyperparameters:
    """Each field is a number for all members or a tensor [K] with one value per member.

    `lr`: learning rate. `weight_decay`: coefficient of L2 decay, added to the gradient as in torch.optim.Adam and
    SGD; of decoupled decay, which takes lr * weight_decay of the parameters themselves, for adamw. `dropout`:
    probability that a hidden unit is zeroed. `noise`: standard deviation of Gaussian noise added to the inputs at each
    step, in the inputs' unit. `label_smoothing`: weight of the uniform distribution in the targets [szegedy2016].
    `momentum`: share of the last update's direction that SGD keeps, as in torch.optim.SGD. `clip`: longest gradient
    of one member, over all its parameters; a longer one is scaled down to it [pascanu2013]; 0 for no limit.
    Errors: ValueError naming the field for values out of bounds, non-finite ones and tensors that are not [K].
    """

    lr: float | int | Tensor = 1e-3
    weight_decay: float | int | Tensor = 0.0
    dropout: float | int | Tensor = 0.0
    noise: float | int | Tensor = 0.0
    label_smoothing: float | int | Tensor = 0.0
    momentum: float | int | Tensor = 0.0
    clip: float | int | Tensor = 0.0

    def __post_init__(self) -> None:
        for name, (low, high, closed) in _BOUNDS.items():
            value = torch.as_tensor(getattr(self, name), dtype=torch.float64)
            if value.dim() > 1:
                raise ValueError(f"{name}: got shape {tuple(value.shape)}, allowed are a number or a tensor [K]")
            inside = (value >= low) & (value.le(high) if closed else value.lt(high))
            if not inside.all():
                end = "]" if closed else ")"
                raise ValueError(f"{name}: got {value[~inside].tolist()}, allowed is [{low:g}, {high:g}{end}")

    def per_member(self, members: int) -> dict[str, Float[Tensor, "K"]]:
        """Every field as a float64 tensor [K] on the CPU. ValueError if a tensor has another length."""
        spread = {}
        for name in (field.name for field in fields(self)):
            value = torch.as_tensor(getattr(self, name), dtype=torch.float64, device="cpu")
            if value.dim() == 1 and len(value) != members:
                raise ValueError(f"{name}: got {len(value)} values, allowed are 1 or members = {members}")
            spread[name] = value.expand(members)
        return spread
