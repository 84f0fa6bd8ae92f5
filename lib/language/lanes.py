"""Many LoRA adapters on one frozen base, trained in lanes: one pass through the base serves them all.

The rows of a batch are the lanes' minibatches, one after the other. Every frozen matrix works once on all rows; the
adapters' branches are batched products over lanes. Lanes meet in no term, so the gradient of the sum of their losses is
each lane's own. Only input gradients pass the frozen matrices, and none goes below the first adapter's input.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from lib.seeds import Seeds

ROWS_OF_LOGITS = 128  # at once: few enough for the processor's cache, enough for a fast matrix product


class FrozenLinear(nn.Module):
    """A linear layer whose matrix product runs in `dtype`, between inputs and outputs of the model's own."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        # Buffers, so that copies of a model can share them; not in files, the model's own weights are.
        self.register_buffer("weight", linear.weight.detach().to(dtype), persistent=False)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().to(dtype), persistent=False)

    def forward(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        """x W^T + bias."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias).to(x.dtype)


class LaneLinear(FrozenLinear):
    """A frozen layer and one LoRA branch for each lane: row x of lane k gives x W^T + s x A_k^T B_k^T [hu2022].

    Where `dropout` is above 0, that share of a branch's inputs is left out, drawn anew at every pass from the lane's own node,
    and the others are scaled up by 1 / (1 - dropout).
    As in peft, A starts uniform in +-1/sqrt(in), each lane's from its own node, and B at zero.
    """

    def __init__(
        self, linear: nn.Linear, dtype: torch.dtype, rank: int, scale: float, seeds: Sequence[Seeds], dropout: float = 0.0
    ) -> None:
        super().__init__(linear, dtype)
        out, features = linear.weight.shape
        starts = [torch.rand(rank, features, generator=node.torch()) for node in seeds]
        like = {"dtype": linear.weight.dtype, "device": linear.weight.device}
        self.a = nn.Parameter((torch.stack(starts) * 2 - 1).div(math.sqrt(features)).to(**like))
        self.b = nn.Parameter(torch.zeros(len(seeds), out, rank, **like))
        self.scale, self.dropout = scale, dropout
        self.streams = [node.child("dropout").torch(linear.weight.device) for node in seeds]

    def forward(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        """The sum of both branches."""
        y, lanes = super().forward(x), len(self.a)
        rows = x.reshape(lanes, -1, x.shape[-1])
        inner = (self._thinned(rows) if self.dropout else rows) @ self.a.mT
        return torch.baddbmm(y.view(lanes, -1, y.shape[-1]), inner, self.b.mT, alpha=self.scale).view_as(y)

    def _thinned(self, rows: Float[Tensor, "L n i"]) -> Float[Tensor, "L n i"]:
        drawn = [torch.rand(rows.shape[1:], generator=stream, device=rows.device) for stream in self.streams]
        return rows * (torch.stack(drawn) >= self.dropout) / (1 - self.dropout)


class TokenLoss(torch.autograd.Function):
    """-log softmax(h W^T)_y of each row, with the gradient taken in the same pass, so that few logits exist at a time."""

    @staticmethod
    def forward(ctx: Any, h: Float[Tensor, "n d"], head: Float[Tensor, "v d"], y: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """The losses; what backward needs is the gradient itself, as large as h."""
        # Fresh memory for so many logits costs as much as the arithmetic: the same two pieces serve all rows.
        rough, fine = (h.new_empty(ROWS_OF_LOGITS, len(head), dtype=dtype) for dtype in (head.dtype, h.dtype))
        losses, gradients = [], []
        for rows, targets in zip(h.split(ROWS_OF_LOGITS), y.split(ROWS_OF_LOGITS), strict=True):
            z, log_p, places = rough[: len(rows)], fine[: len(rows)], targets[:, None]
            torch.mm(rows.to(head.dtype), head.T, out=z)
            torch.log_softmax(z, 1, dtype=h.dtype, out=log_p)
            losses.append(-log_p.gather(1, places)[:, 0])
            errors = log_p.exp_().scatter_add_(1, places, -torch.ones_like(places, dtype=h.dtype))  # softmax - one-hot
            gradients.append(torch.mm(z.copy_(errors), head).to(h.dtype))
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, upstream: Float[Tensor, "n"]) -> tuple[Tensor, None, None]:
        """Each row's gradient times what comes from above."""
        (gradients,) = ctx.saved_tensors
        return gradients * upstream[:, None], None, None


class Lanes:
    """A model with one adapter for each of the `seeds`, over the backbone's own weights (copied only for another `dtype`).

    Errors: ValueError for a target that is no linear layer of the model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        targets: Sequence[str],
        rank: int,
        scale: float,
        dtype: torch.dtype,
        seeds: Sequence[Seeds],
        dropout: float = 0.0,
    ) -> None:
        self.lanes = len(seeds)
        shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        body = copy.deepcopy(model.base_model, shared)
        prefix = f"{model.base_model_prefix}."
        self.branches: dict[str, LaneLinear] = {}
        linears = [(name, module) for name, module in body.named_modules() if isinstance(module, nn.Linear)]
        for name, linear in linears:
            if name.rpartition(".")[2] in targets:
                nodes = [node.child("init", prefix + name) for node in seeds]
                layer = self.branches[prefix + name] = LaneLinear(linear, dtype, rank, scale, nodes, dropout)
            else:
                layer = FrozenLinear(linear, dtype)
            body.set_submodule(name, layer)
        found = {name.rpartition(".")[2] for name in self.branches}
        if missing := sorted(set(targets) - found):
            raise ValueError(f"targets: got {', '.join(missing)}, allowed are names of linear layers of {type(model).__name__}")
        self.body = body
        self.head = model.get_output_embeddings().weight.detach().to(dtype)

    def parameters(self) -> list[nn.Parameter]:
        """All lanes' factors."""
        return [factor for layer in self.branches.values() for factor in (layer.a, layer.b)]

    def losses(self, ids: Int[Tensor, "L B T"]) -> Float[Tensor, "L"]:
        """Sum over a lane's tokens of -log p(token | those before it in its row), in nats."""
        rows = ids.flatten(0, 1)
        hidden = self.body(input_ids=rows[:, :-1], use_cache=False).last_hidden_state
        losses = TokenLoss.apply(hidden.flatten(0, 1), self.head, rows[:, 1:].flatten())
        return losses.view(self.lanes, -1).sum(1)

    def factors(self, lane: int) -> dict[str, tuple[Float[Tensor, "r i"], Float[Tensor, "o r"]]]:
        """A lane's trained factors (A, B) under each layer's name in the model, on the CPU."""
        return {
            name: (layer.a[lane].detach().clone().cpu(), layer.b[lane].detach().clone().cpu())
            for name, layer in self.branches.items()
        }
