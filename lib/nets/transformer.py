"""A small transformer classifier of token sequences."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.nets.blocks import attend, embed, mlp, norm
from lib.nets.net import Drop, Layout, Params, affine_init, affine_rows, as_members, check_positive
from lib.seeds import Seeds


@dataclass(frozen=True)
class Transformer:
    """Pre-norm transformer [vaswani2017] [xiong2020] over token sequences of at most `length`, learned positions.

    Each block: h += drop(attention(norm(h))), h += drop(W_2 gelu(W_1 norm(h))) with 4 * width hidden units.
    The classifier reads the mean over positions, or the last position if `causal` (each position then sees only
    itself and earlier ones).
    Errors: ValueError for a size below 1, a width that `heads` does not divide, or longer sequences.
    """

    vocabulary: int
    length: int
    classes: int
    width: int = 32
    heads: int = 4
    layers: int = 2
    causal: bool = False

    def __post_init__(self) -> None:
        check_positive(vocabulary=self.vocabulary, length=self.length, classes=self.classes, width=self.width)
        check_positive(heads=self.heads, layers=self.layers)
        if self.width % self.heads:
            raise ValueError(f"width: got {self.width}, allowed are multiples of heads = {self.heads}")

    @property
    def input_ndim(self) -> int:
        """Axes of one batch: [B, T] token numbers."""
        return 2

    def layout(self) -> Layout:
        """`token`, `place`, then `block<l>.{norm1,qkv,out,norm2,up,down}`, `norm`, `head`, each .weight and .bias."""
        d, shapes = self.width, {"token": (self.vocabulary, self.width), "place": (self.length, self.width)}
        for name, outputs, inputs in self._affines():
            shapes |= {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
        for name in self._norms():
            shapes |= {f"{name}.weight": (d,), f"{name}.bias": (d,)}
        return shapes

    def init(self, seeds: Seeds) -> Params:
        """Embeddings N(0, 1/width), affine maps uniform by fan-in, norms at gain 1 and shift 0."""
        layout, params = self.layout(), {}
        for name in ("token", "place"):
            draw = torch.randn(layout[name], generator=seeds.child(name).torch())
            params[name] = draw * self.width**-0.5
        for name, _, _ in self._affines():
            params |= affine_init(layout, name, seeds)
        for name in self._norms():
            params |= {f"{name}.weight": torch.ones(self.width), f"{name}.bias": torch.zeros(self.width)}
        return params

    def features(
        self, params: Params, x: Int[Tensor, "*members B T"], *, drop: Drop | None = None
    ) -> Float[Tensor, "*stacked B h"]:
        """Penultimate activations: the normalised hidden state that the classifier reads."""
        params, single = as_members(params, self.layout())
        h = self._read(params, x, drop)
        return h.squeeze(0) if single else h

    def apply(self, params: Params, x: Int[Tensor, "*members B T"], *, drop: Drop | None = None) -> Float[Tensor, "*stacked B C"]:
        """Logits of one network or of K stacked ones, for shared sequences [B, T] or per-member ones [K, B, T]."""
        params, single = as_members(params, self.layout())
        logits = affine_rows(params, "head", self._read(params, x, drop))
        return logits.squeeze(0) if single else logits

    def _affines(self) -> list[tuple[str, int, int]]:
        d, each = self.width, (("qkv", 3, 1), ("out", 1, 1), ("up", 4, 1), ("down", 1, 4))
        blocks = [(f"block{i}.{name}", o * d, n * d) for i in range(self.layers) for name, o, n in each]
        return [*blocks, ("head", self.classes, d)]

    def _norms(self) -> list[str]:
        return [f"block{i}.{name}" for i in range(self.layers) for name in ("norm1", "norm2")] + ["norm"]

    def _read(self, params: Params, x: Tensor, drop: Drop | None) -> Float[Tensor, "K B d"]:
        if x.shape[-1] > self.length:
            raise ValueError(f"x: sequences of length {x.shape[-1]}, this Transformer takes at most {self.length}")
        h, drop = embed(params["token"], x) + params["place"][:, None, : x.shape[-1]], drop or (lambda branch: branch)
        for block in (f"block{i}" for i in range(self.layers)):
            h = h + drop(attend(params, block, norm(params, f"{block}.norm1", h), self.heads, self.causal))
            h = h + drop(mlp(params, block, norm(params, f"{block}.norm2", h)))
        return norm(params, "norm", h[:, :, -1] if self.causal else h.mean(2))
