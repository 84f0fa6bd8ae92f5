"""ResNets from scratch, with the running statistics of batch normalisation among their parameters."""

import copy
import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call

from lib.nets import Drop, Layout, Params
from lib.nets.net import as_members, check_positive, fan_in_uniform
from lib.nets.normed_convnet import standardised
from lib.seeds import Seeds

DEPTHS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
COUNTER = "num_batches_tracked"  # a count that nothing here reads


@dataclass(frozen=True, eq=False)
class ResNet:
    """ResNet-18 or ResNet-50 [he2016] of `transformers`, unpretrained; `width`: channels of its first stage, 64 as published.

    `lib.nets.Net` in evaluation mode: normalisation is by running statistics, which `layout` counts among the parameters. They
    are no variables of a gradient, so populations cannot train it: `lib.distillation.singly` does, by `trainable`.
    Images are bytes [B, 3, h, w], standardised here by `mean` and `sd` of each channel, or floats standardised before.
    Errors: ValueError for sizes below 1 and other depths.
    """

    depth: int
    width: int
    classes: int
    mean: tuple[float, ...] = ()
    sd: tuple[float, ...] = ()
    skeleton: nn.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_positive(width=self.width, classes=self.classes)
        if self.depth not in DEPTHS:
            raise ValueError(f"depth: got {self.depth}, allowed are {', '.join(map(str, DEPTHS))}")
        object.__setattr__(self, "skeleton", self._skeleton())

    def _skeleton(self) -> nn.Module:
        """The module without any numbers."""
        from transformers import ResNetConfig, ResNetForImageClassification

        deep = self.depth >= 50
        config = ResNetConfig(
            embedding_size=self.width, hidden_sizes=[self.width * (4 if deep else 1) * 2**stage for stage in range(4)],
            depths=list(DEPTHS[self.depth]), layer_type="bottleneck" if deep else "basic", num_labels=self.classes,
        )  # fmt: skip
        with torch.device("meta"):
            return ResNetForImageClassification(config).eval()

    @property
    def input_ndim(self) -> int:
        """Axes of one batch: [B, 3, h, w]."""
        return 4

    def layout(self) -> Layout:
        """The module's own names, of parameters and running statistics."""
        state = self.skeleton.state_dict()
        return {name: tuple(value.shape) for name, value in state.items() if not name.endswith(COUNTER)}

    def init(self, seeds: Seeds) -> Params:
        """Fresh parameters: convolutions N(0, 2 / fan-out) [he2015], the affine layer uniform by fan-in, norms at 1 and 0."""
        params, layout = {}, self.layout()
        for name, shape in layout.items():
            if len(shape) == 4:
                spread = math.sqrt(2 / (shape[0] * shape[2] * shape[3]))
                params[name] = torch.empty(shape).normal_(0, spread, generator=seeds.child(name).torch())
            elif name.startswith("classifier"):
                params[name] = fan_in_uniform(shape, layout["classifier.1.weight"][1], seeds.child(name))
            else:
                params[name] = torch.full(shape, float(name.endswith(("weight", "running_var"))))
        return params

    def standardised(self, x: Shaped[Tensor, "*batch"], dtype: torch.dtype = torch.float32) -> Float[Tensor, "*batch"]:
        """Bytes as standardised floats; floats as they are."""
        return standardised(x, self.mean, self.sd, dtype)

    def apply(self, params: Params, x: Shaped[Tensor, "..."], *, drop: Drop | None = None) -> Float[Tensor, "*stacked B C"]:
        """Logits in evaluation mode, of one network or of K stacked ones, one by one; nothing is dropped.

        Images may be elsewhere than the parameters: they are brought there.
        """
        params, single = as_members(params, self.layout())
        one = next(iter(params.values()))
        images = self.standardised(x.to(one.device), one.dtype)
        each = images.unbind() if images.dim() == 5 else [images] * len(one)
        logits = torch.stack([self._logits({k: v[i] for k, v in params.items()}, rows) for i, rows in enumerate(each)])
        return logits.squeeze(0) if single else logits

    def _logits(self, params: Params, images: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B C"]:
        return functional_call(self.skeleton, params, (images,)).logits

    def trainable(self, params: Params) -> nn.Module:
        """One network's own module in training mode, on the device of `params`, which it copies."""
        module = copy.deepcopy(self.skeleton).to_empty(device=next(iter(params.values())).device)
        state = module.state_dict()
        with torch.no_grad():
            for name, value in state.items():
                value.copy_(params[name]) if name in params else value.zero_()
        return module.train()

    def state(self, module: nn.Module) -> Params:
        """A copy of the parameters and statistics of a module of `trainable`."""
        found = module.state_dict()
        return {name: found[name].detach().clone() for name in self.layout()}
