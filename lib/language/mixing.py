"""Any combination of anchors, as the weights of one plain model: W = W_0 + sum_k w_k s_k B_k A_k [kangaslahti2025].

What is mixed is the product B A. Each mix is one thin matrix product per layer from the base that is kept aside, so mixes
never drift; the model runs at the speed of the base, whatever the number of anchors.
"""

import math
from collections.abc import Hashable, Mapping
from types import TracebackType
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lib.language.adapters import Adapter, check_same_base
from lib.language.backbone import Backbone

Key = TypeVar("Key", bound=Hashable)

_OWNER = "_mixer"  # attribute of a model that holds a mix: whose


class Mixer(Generic[Key]):
    """Puts mixes of adapters into a backbone's model, in place, and takes them out again.

    >>> with Mixer(backbone, adapters) as mixer:                   # doctest: +SKIP
    ...     mixer.apply(attributes.mix_weights({"sentiment": 0.3}))
    ...     generate(backbone, prompts, tokens=24, seeds=seeds)

    Memory: a copy of the target layers' weights once something is applied.

    Errors: ValueError naming the layer where adapters and model do not fit, or for a quantised layer; RuntimeError for
    a model that another mixer or peft has changed.
    """

    def __init__(self, backbone: Backbone, adapters: Mapping[Key, Adapter]) -> None:
        check_same_base(list(adapters.values()))
        self.keys = tuple(adapters)
        check_unmixed(backbone.model)
        self._model, self._active = backbone.model, False
        pool = list(adapters.values())
        if pool[0].base != backbone.fingerprint:
            layer = next(iter(pool[0].factors))
            raise ValueError(f"layer {layer}: the adapters are for base {pool[0].base}, the backbone is {backbone.fingerprint}")
        self._layers = {name: _target(self._model, name) for name in pool[0].factors}
        self._base = {name: layer.weight.data for name, layer in self._layers.items()}
        self._mixed: dict[str, Tensor] = {}
        self._a, self._b = {}, {}
        for name, weight in self._base.items():
            a = torch.cat([adapter.factors[name][0] for adapter in pool])
            b = torch.cat([adapter.scale * adapter.factors[name][1] for adapter in pool], 1)
            if (len(b), a.shape[1]) != weight.shape:
                raise ValueError(f"layer {name}: updates of shape {(len(b), a.shape[1])}, the weight is {tuple(weight.shape)}")
            self._a[name], self._b[name] = a.to(weight), b.to(weight)
        self._rank = pool[0].rank

    @torch.no_grad()
    def apply(self, weights: Mapping[Key, float]) -> None:
        """Make the model W_0 + sum_k w_k s_k B_k A_k in every target layer; adapters without a weight have none.

        With no weight other than zero the model is the base, bit for bit.

        Errors: KeyError listing the known anchors; ValueError for weights that are not finite; RuntimeError for a model
        that somebody else has changed.
        """
        shares = self._shares(weights)
        self._check_free()
        if not shares.any():
            self.restore()
            return
        if not self._mixed:
            self._mixed = {name: torch.empty_like(base) for name, base in self._base.items()}
        used = shares.nonzero()[:, 0]
        for name, layer in self._layers.items():
            base = self._base[name]
            scaled = self._b[name][:, used] * shares[used].to(base)
            layer.weight.data = torch.addmm(base, scaled, self._a[name][used], out=self._mixed[name])
        setattr(self._model, _OWNER, self)
        self._active = True

    def restore(self) -> None:
        """Put the base back, bit for bit. RuntimeError for a model that somebody else has changed."""
        self._check_free()
        for name, layer in self._layers.items():
            layer.weight.data = self._base[name]
        if self._active:
            delattr(self._model, _OWNER)
            self._active = False

    def __enter__(self) -> "Mixer[Key]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._active:
            self.restore()

    def _shares(self, weights: Mapping[Key, float]) -> Float[Tensor, "c"]:
        """w_k of each column of the concatenated factors."""
        for key, weight in weights.items():
            if key not in self.keys:
                raise KeyError(f"anchor {key!r} is unknown, known are {', '.join(map(repr, self.keys))}")
            if not math.isfinite(weight):
                raise ValueError(f"weight of {key!r}: got {weight!r}, allowed are finite numbers")
        per_adapter = torch.tensor([float(weights.get(key, 0.0)) for key in self.keys], dtype=torch.float64)
        return per_adapter.repeat_interleave(self._rank)

    def _check_free(self) -> None:
        """Nobody else's weights are in the model."""
        if not self._active:
            check_unmixed(self._model)
        expected = self._mixed if self._active else self._base
        for name, layer in self._layers.items():
            if layer.weight.data_ptr() != expected[name].data_ptr():
                raise RuntimeError(f"layer {name}: its weights were replaced by something else; load the backbone again")


def check_unmixed(model: nn.Module) -> None:
    """RuntimeError for a model that holds a mix or peft's layers."""
    if getattr(model, _OWNER, None) is not None:
        raise RuntimeError("the model is already merged by a Mixer; call its restore() first")
    if any(hasattr(module, "lora_A") for module in model.modules()):
        raise RuntimeError("the model holds adapters of peft; take them out first (peft's unload())")


def _target(model: nn.Module, name: str) -> nn.Linear:
    """The layer of that name. ValueError where there is none that a product can be added to."""
    try:
        layer = model.get_submodule(name)
    except AttributeError:
        raise ValueError(f"layer {name}: the model {type(model).__name__} has no such layer") from None
    if not isinstance(layer, nn.Linear) or not layer.weight.is_floating_point():
        kind = f"{type(layer).__name__} with weights of {getattr(getattr(layer, 'weight', None), 'dtype', 'no dtype')}"
        raise ValueError(f"layer {name}: {kind} cannot be merged, allowed are linear layers of floats; load a de-quantised base")
    return layer
