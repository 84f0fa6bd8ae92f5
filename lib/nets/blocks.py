"""What the transformers of this room are built of, for K members at once: embeddings, norms, attention, the MLP."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float, Int, Integer
from torch import Tensor

from lib.nets.net import Params, affine_rows


def embed(table: Float[Tensor, "K V d"], tokens: Integer[Tensor, "*members B T"]) -> Float[Tensor, "K B T d"]:
    """Each member's rows of its own table, for shared tokens [B, T] or its own [K, B, T].

    Errors: ValueError for token numbers below 0 or from V on.
    """
    members, vocabulary, width = table.shape
    low, high = torch.aminmax(tokens)
    if low < 0 or high >= vocabulary:
        raise ValueError(f"x: tokens {int(low)} to {int(high)}, allowed are 0 to {vocabulary - 1}")
    rows = tokens.long() + vocabulary * torch.arange(members, device=tokens.device).view(-1, 1, 1)
    flat = table.reshape(-1, width)
    if flat.is_cuda:  # index_select's gradient adds in no fixed order there
        return F.embedding(rows, flat)
    return flat.index_select(0, rows.flatten()).view(*rows.shape, width)  # a gradient five times as fast as embedding's


def standardise(h: Float[Tensor, "K B *T d"]) -> Float[Tensor, "K B *T d"]:
    """Mean 0 and variance 1 over the last axis [ba2016]; several norms of one input may share it."""
    return F.layer_norm(h, h.shape[-1:])


def scale(params: Params, name: str, h: Float[Tensor, "K B *T d"]) -> Float[Tensor, "K B *T d"]:
    """h times each member's own gain, plus its shift: the second half of layer normalisation."""
    shape = (len(h), *(1,) * (h.dim() - 2), -1)
    gain, shift = params[f"{name}.weight"].view(shape), params[f"{name}.bias"].view(shape)
    return torch.addcmul(shift, h, gain)


def norm(params: Params, name: str, h: Float[Tensor, "K B *T d"]) -> Float[Tensor, "K B *T d"]:
    """Layer normalisation over the last axis with each member's own gain and shift [ba2016]."""
    return scale(params, name, standardise(h))


def mlp(params: Params, block: str, h: Float[Tensor, "K B T d"]) -> Float[Tensor, "K B T d"]:
    """W_2 gelu(W_1 h + b_1) + b_2."""
    return affine_rows(params, f"{block}.down", F.gelu(affine_rows(params, f"{block}.up", h)))


def attend(
    params: Params,
    block: str,
    h: Float[Tensor, "K B T d"],
    heads: int,
    causal: bool,
    turns: Complex[Tensor, "T places"] | None = None,
) -> Float[Tensor, "K B T d"]:
    """Self-attention [vaswani2017], members and rows folded into one batch axis.

    `turns`, from `turns_of_heads`, are multiplied to queries, keys and values of all heads.
    """
    members, rows, time, width = h.shape
    qkv = affine_rows(params, f"{block}.qkv", h).view(members * rows, time, 3 * width)
    mixed = F.scaled_dot_product_attention(*_Heads.apply(qkv, heads, turns), is_causal=causal)
    return affine_rows(params, f"{block}.out", mixed.transpose(1, 2).reshape(h.shape))


class _Heads(torch.autograd.Function):
    """Turned queries, keys, values [N, heads, T, D] of [N, T, 3 d]; gradients return to that order, turned back, in one copy."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int, turns: Tensor | None) -> tuple[Tensor, ...]:
        ctx.turns = turns
        turned = qkv if turns is None else turn(qkv, turns)
        return turned.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind()

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        slope = torch.stack([part.transpose(1, 2) for part in slopes], dim=2).flatten(2)
        return (slope if ctx.turns is None else turn(slope, ctx.turns.conj_physical())), None, None


def turning(positions: Int[Tensor, "T"], dimensions: int, turned: int, like: Tensor) -> Complex[Tensor, "T pairs"]:
    """exp(i t w_j) for each position t and pair j of neighbouring dimensions of a head, in the precision of `like` [su2024].

    w_j = 10000^(-2 j / turned) for the first `turned` dimensions; the others stay as they are (w_j = 0).
    """
    pairs = torch.arange(turned // 2, dtype=torch.float64, device=like.device)
    angles = torch.zeros(len(positions), dimensions // 2, dtype=torch.float64, device=like.device)
    angles[:, : turned // 2] = positions.to(angles)[:, None] * 10000.0 ** (-2 * pairs / turned)
    return torch.polar(torch.ones_like(angles), angles).to(like.dtype.to_complex())


def turn(h: Float[Tensor, "... T D"], turns: Complex[Tensor, "T pairs"]) -> Float[Tensor, "... T D"]:
    """Rotary positions: each pair (h_2j, h_2j+1), read as a complex number, times its turn at that position.

    <turn(q, s), turn(k, t)> depends on the positions through their difference alone.
    """
    return torch.view_as_real(torch.view_as_complex(h.unflatten(-1, (-1, 2))) * turns).flatten(-2)


def turns_of_heads(turns: Complex[Tensor, "T pairs"], heads: int) -> Complex[Tensor, "T places"]:
    """The turns of one head for the queries and keys of all, and 1 for their values: [T, 3 heads pairs].

    One product over memory as it lies is faster than leaving the values out.
    """
    return torch.cat([turns.repeat(1, 2 * heads), torch.ones_like(turns).repeat(1, heads)], dim=1)
