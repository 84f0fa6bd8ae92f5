"""Any torch.nn.Module as a net whose parameters are kept outside and may be stacked."""

import copy
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lib.nets.net import Drop, Layout, Params, as_members
from lib.seeds import Seeds


class _Site(nn.Module):
    """Stands where the module had an nn.Dropout: multiplies by a mask that is handed in like a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(()))
        self.shapes: list[torch.Size] = []

    def forward(self, h: Tensor) -> Tensor:
        self.shapes.append(h.shape)
        return h * self.mask


@dataclass(frozen=True, eq=False)
class ModuleNet:
    """Adapter of `module` through torch.func.functional_call and vmap.

    Parameters that require gradients become the net's parameters; frozen ones and all buffers (batch-norm running
    statistics) are shared by every member and never change. The adapter works on a copy in evaluation mode, in
    which each nn.Dropout is a site of `drop`: the rate comes from there, not from the module. An output object
    with `.logits` is read there. `batch_ndim` is the number of axes of one batch (images 4, tokens 2).
    Errors: ValueError for batch norm in training mode with running statistics, which a stacked run would have to
    update member by member; for a module without trainable parameters; for an nn.Dropout called twice in a pass.
    """

    module: nn.Module
    batch_ndim: int
    _sites: dict[str, _Site] = field(init=False, repr=False)
    _frozen: Params = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name, part in self.module.named_modules():
            if part.training and getattr(part, "track_running_stats", False):
                raise ValueError(
                    f"module: {type(part).__name__} {name!r} is in training mode with running statistics; "
                    "allowed is frozen statistics: call module.eval() first"
                )
        module = copy.deepcopy(self.module).eval()
        parts = module.named_modules(remove_duplicate=False)
        sites = {name: _Site() for name, part in parts if isinstance(part, nn.Dropout)}
        for name, site in sites.items():
            module.set_submodule(name, site)
        named = dict(module.named_parameters())
        frozen = {name: value.detach() for name, value in named.items() if not value.requires_grad}
        if len(frozen) == len(named):
            raise ValueError("module: got no parameter with requires_grad=True, allowed is at least one")
        for key, value in (("module", module), ("_sites", sites), ("_frozen", frozen)):
            object.__setattr__(self, key, value)

    @property
    def input_ndim(self) -> int:
        """Axes of one batch."""
        return self.batch_ndim

    def layout(self) -> Layout:
        """The module's own names and shapes of trainable parameters."""
        return {n: tuple(value.shape) for n, value in self.module.named_parameters() if n not in self._frozen}

    def init(self, seeds: Seeds) -> Params:
        """A copy of the module's own parameters. `seeds` draws nothing: torch filled them when it was built."""
        named = self.module.named_parameters()
        return {name: value.detach().clone() for name, value in named if name not in self._frozen}

    def apply(self, params: Params, x: Tensor, *, drop: Drop | None = None) -> Float[Tensor, "*stacked B C"]:
        """Logits of one network or of K stacked ones, for a shared batch or per-member batches [K, B, ...]."""
        params, single = as_members(params, self.layout())
        masks = self._masks(params, x, drop) if drop and self._sites else {}
        own_rows = 0 if x.dim() > self.batch_ndim else None
        logits = vmap(self._call, in_dims=(0, own_rows), randomness="error")(params | masks, x)
        return logits.squeeze(0) if single else logits

    def _call(self, params: Params, x: Tensor) -> Tensor:
        output = functional_call(self.module, params, (x,))
        return getattr(output, "logits", output)

    @torch.no_grad()
    def _masks(self, params: Params, x: Tensor, drop: Drop) -> Params:
        """One mask per site and member: a pass of member 0 tells the shapes, `drop` draws on ones of that shape."""
        for site in self._sites.values():
            site.shapes.clear()
        rows = x[0] if x.dim() > self.batch_ndim else x
        output = self._call({name: value[0] for name, value in params.items()}, rows)
        members, masks = len(next(iter(params.values()))), {}
        for name, site in self._sites.items():
            if len(site.shapes) != 1:
                raise ValueError(f"module: nn.Dropout {name!r} is called {len(site.shapes)} times, allowed is once")
            masks[f"{name}.mask"] = drop(output.new_ones(members, *site.shapes[0]))
        return masks
