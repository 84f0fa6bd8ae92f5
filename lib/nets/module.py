"""Any torch.nn.Module as a net whose parameters are kept outside and may be stacked."""

import copy
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.conv import _ConvNd

from lib.nets.net import Drop, Layout, Params, as_members
from lib.seeds import Seeds


class _Site(nn.Module):
    """Stands where the module had an nn.Dropout: multiplies by a mask that is handed in like a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(()))
        self.seen: list[torch.Size] | None = None

    def forward(self, h: Tensor) -> Tensor:
        if self.seen is not None:
            self.seen.append(h.shape)
        return h * self.mask


@dataclass(frozen=True, eq=False)
class ModuleNet:
    """Adapter of `module` through torch.func.functional_call: by vmap, or member by member if it has convolutions.

    (vmap halves the time of twelve small dense modules, but makes grouped convolutions of plain ones, which then
    take a quarter longer than a loop; measured on one core of a processor.)

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
    _shapes: dict[torch.Size, dict[str, torch.Size]] = field(init=False, repr=False, default_factory=dict)

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
        own = x.dim() > self.batch_ndim
        route = self._one_by_one if any(isinstance(part, _ConvNd) for part in self.module.modules()) else self._vmapped
        logits = route(params | masks, x, own)
        return logits.squeeze(0) if single else logits

    def _vmapped(self, params: Params, x: Tensor, own: bool) -> Tensor:
        return vmap(self._call, in_dims=(0, 0 if own else None), randomness="error")(params, x)

    def _one_by_one(self, params: Params, x: Tensor, own: bool) -> Tensor:
        members = zip(*(value.unbind() for value in params.values()), strict=True)
        each = [dict(zip(params, values, strict=True)) for values in members]
        return torch.stack([self._call(one, rows) for one, rows in zip(each, x if own else [x] * len(each), strict=True)])

    def _call(self, params: Params, x: Tensor) -> Tensor:
        output = functional_call(self.module, self._shared(next(iter(params.values())).dtype) | params, (x,))
        return getattr(output, "logits", output)

    def _shared(self, dtype: torch.dtype) -> Params:
        """Frozen parameters and buffers in the precision of the members' parameters."""
        shared = self._frozen | dict(self.module.named_buffers())
        return {name: value.to(dtype) if value.is_floating_point() else value for name, value in shared.items()}

    def _masks(self, params: Params, x: Tensor, drop: Drop) -> Params:
        """One mask per site and member, by `drop` on ones of the site's shape."""
        rows = x[0] if x.dim() > self.batch_ndim else x
        first = {name: value[0] for name, value in params.items()}
        if rows.shape not in self._shapes:
            self._shapes[rows.shape] = self._look(first, rows)
        like, members = next(iter(first.values())), len(next(iter(params.values())))
        return {f"{name}.mask": drop(like.new_ones(members, *shape)) for name, shape in self._shapes[rows.shape].items()}

    @torch.no_grad()
    def _look(self, params: Params, x: Tensor) -> dict[str, torch.Size]:
        """The shape of every site's input, from one network's pass."""
        for site in self._sites.values():
            site.seen = []
        self._call(params, x)
        shapes = {name: site.seen for name, site in self._sites.items()}
        for name, seen in shapes.items():
            self._sites[name].seen = None
            if len(seen) != 1:
                raise ValueError(f"module: nn.Dropout {name!r} is called {len(seen)} times, allowed is once")
        return {name: seen[0] for name, seen in shapes.items()}
