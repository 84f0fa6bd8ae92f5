"""A decoder-only language model."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from lib.nets.blocks import attend, embed, mlp, norm, scale, standardise, turning, turns_of_heads
from lib.nets.net import Drop, Layout, Params, as_members, check_positive
from lib.seeds import Seeds

POSITIONS = ("rotary", "learned", "none")
SPREAD = 0.02  # standard deviation of fresh weights


@dataclass(frozen=True)
class Decoder:
    """Logits of the next token at every place, each seeing itself and earlier ones: pre-norm, 4 * width hidden units, GELU.

    Blocks are GPT-NeoX's, h += drop(attention(norm1(h))) + drop(mlp(norm2(h))) [black2022], or one after the other with
    `parallel=False`, h += drop(attention(norm1(h))), h += drop(mlp(norm2(h))) [xiong2020]. The head has weights of its own
    and no bias. `positions`: "rotary" turns the first `rotary_share` of each head's dimensions [su2024], "learned" adds a
    vector per place, "none" leaves order to the causal mask. `length`: longest sequence; needed for learned positions,
    otherwise None stands for any.
    Errors: ValueError for a size below 1, a width that `heads` does not divide, unknown positions, learned ones without a
    length, rotary ones with heads of odd width or with a share that is no even number of dimensions; in `apply` for longer
    sequences and for tokens outside of the vocabulary.
    """

    vocabulary: int
    length: int | None = None
    width: int = 32
    heads: int = 4
    layers: int = 2
    positions: str = "rotary"
    rotary_share: float = 0.25
    parallel: bool = True

    def __post_init__(self) -> None:
        check_positive(vocabulary=self.vocabulary, width=self.width, heads=self.heads, layers=self.layers)
        if self.length is not None:
            check_positive(length=self.length)
        if self.width % self.heads:
            raise ValueError(f"width: got {self.width}, allowed are multiples of heads = {self.heads}")
        if self.positions not in POSITIONS:
            raise ValueError(f"positions: got {self.positions!r}, allowed are {', '.join(POSITIONS)}")
        if self.positions == "learned" and self.length is None:
            raise ValueError("length: got None, allowed with learned positions are whole numbers >= 1")
        if self.positions == "rotary":
            self._check_rotary()

    def _check_rotary(self) -> None:
        each = self.width // self.heads
        if each % 2:
            raise ValueError(f"width: got {each} dimensions a head (width {self.width}), allowed with rotary positions: even")
        share = self.rotary_share * each
        if not (0 < self.rotary_share <= 1 and math.isclose(share, 2 * round(share / 2))):
            raise ValueError(
                f"rotary_share: got {self.rotary_share}, {share:g} of {each} dimensions a head, allowed in (0, 1]: an even number"
            )

    @property
    def input_ndim(self) -> int:
        """Axes of one batch: [B, T] token numbers."""
        return 2

    def layout(self) -> Layout:
        """`token`, `place` if learned; `block<l>.{norm1,norm2,qkv,out,up,down}` and `norm`, .weight and .bias; `head.weight`."""
        d, shapes = self.width, {"token": (self.vocabulary, self.width)}
        if self.positions == "learned":
            shapes["place"] = (self.length, d)
        for block in self._blocks():
            shapes |= {f"{block}.{name}.{part}": (d,) for name in ("norm1", "norm2") for part in ("weight", "bias")}
            for name, outputs, inputs in (("qkv", 3, 1), ("out", 1, 1), ("up", 4, 1), ("down", 1, 4)):
                shapes |= {f"{block}.{name}.weight": (outputs * d, inputs * d), f"{block}.{name}.bias": (outputs * d,)}
        return shapes | {"norm.weight": (d,), "norm.bias": (d,), "head.weight": (self.vocabulary, d)}

    def init(self, seeds: Seeds) -> Params:
        """GPT-2's [radford2019]: weights and embeddings N(0, 0.02^2), `out` and `down` with 1 / (2 layers) of that variance.

        Biases start at 0, the norms' gains at 1.
        """
        return {name: self._fresh(name, shape, seeds.child(name)) for name, shape in self.layout().items()}

    def _fresh(self, name: str, shape: tuple[int, ...], seeds: Seeds) -> Tensor:
        if len(shape) == 1:
            return torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
        residual = name.endswith(("out.weight", "down.weight"))
        return torch.randn(shape, generator=seeds.torch()) * (SPREAD / math.sqrt(2 * self.layers) if residual else SPREAD)

    def apply(
        self, params: Params, x: Integer[Tensor, "*members B T"], *, drop: Drop | None = None
    ) -> Float[Tensor, "*stacked B T V"]:
        """Logits of one network or of K stacked ones, for shared sequences [B, T] or per-member ones [K, B, T]."""
        params, single = as_members(params, self.layout())
        h = norm(params, "norm", self._read(params, x, drop))
        logits = (h.flatten(1, 2) @ params["head.weight"].mT).unflatten(1, h.shape[1:3])
        return logits.squeeze(0) if single else logits

    def _blocks(self) -> list[str]:
        return [f"block{i}" for i in range(self.layers)]

    def _read(self, params: Params, x: Tensor, drop: Drop | None) -> Float[Tensor, "K B T d"]:
        """The residual stream after the last block."""
        time, drop = x.shape[-1], drop or (lambda branch: branch)
        if self.length is not None and time > self.length:
            raise ValueError(f"x: sequences of length {time}, this Decoder takes at most {self.length}")
        h = embed(params["token"], x)
        if self.positions == "learned":
            h = h + params["place"][:, None, :time]
        turns = self._turns(h) if self.positions == "rotary" else None
        for block in self._blocks():
            h = self._block(params, block, h, drop, turns)
        return h

    def _turns(self, h: Float[Tensor, "K B T d"]) -> Tensor:
        each = self.width // self.heads
        places = torch.arange(h.shape[2], device=h.device)
        return turns_of_heads(turning(places, each, round(self.rotary_share * each), h), self.heads)

    def _block(self, params: Params, block: str, h: Tensor, drop: Drop, turns: Tensor | None) -> Float[Tensor, "K B T d"]:
        def mixed(standard: Tensor) -> Tensor:
            return drop(attend(params, block, scale(params, f"{block}.norm1", standard), self.heads, True, turns))

        def lifted(standard: Tensor) -> Tensor:
            return drop(mlp(params, block, scale(params, f"{block}.norm2", standard)))

        standard = standardise(h)
        if self.parallel:
            return h + mixed(standard) + lifted(standard)
        h = h + mixed(standard)
        return h + lifted(standardise(h))
