"""LoRA adapters as values: the factors of every layer's update, and their files in peft's own format.

An adapter's update of a layer is D = s B A with s = lora_alpha / r and the factors A [r, in] and B [out, r] [hu2022].
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
WEIGHTS_FILE, CONFIG_FILE = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."  # what peft puts before a module's name
# Settings under which peft computes something else than s B A; each with the values that leave it alone.
PLAIN = {
    "use_rslora": (False, None), "use_dora": (False, None), "fan_in_fan_out": (False, None), "lora_bias": (False, None),
    "bias": ("none", None), "rank_pattern": ({}, None), "alpha_pattern": ({}, None), "modules_to_save": ([], None),
}  # fmt: skip

Factors = Mapping[str, tuple[Float[Tensor, "_ _"], Float[Tensor, "_ _"]]]  # (A [r, in], B [out, r]); checked by Adapter


@dataclass(frozen=True, eq=False)
class Adapter:
    """One trained LoRA adapter.

    Attributes:
        factors: (A [r, in], B [out, r]) of each layer, under the module's name in the model without adapters.
        lora_alpha: the update is (lora_alpha / r) B A.
        base: fingerprint of the weights that it was trained on.
        meta: what else is worth keeping (recipe, losses), of JSON's kinds.

    Errors: ValueError naming the layer whose factors do not fit one another or hold a NaN or an infinity.
    """

    factors: Factors
    lora_alpha: float
    base: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.factors:
            raise ValueError("factors: got no layers, allowed is one or more")
        for layer, (a, b) in self.factors.items():
            if a.dim() != 2 or b.dim() != 2 or not 1 <= len(a) == b.shape[1] == self.rank:
                raise ValueError(
                    f"layer {layer}: factors of shapes {tuple(a.shape)} and {tuple(b.shape)}, allowed are "
                    f"(r, in) and (out, r) with the adapter's rank r = {self.rank}"
                )
            if not (a.isfinite().all() and b.isfinite().all()):
                raise ValueError(f"layer {layer}: the adapter's factors are not finite")

    @property
    def rank(self) -> int:
        """r, the same in all layers."""
        return len(next(iter(self.factors.values()))[0])

    @property
    def scale(self) -> float:
        """s = lora_alpha / r."""
        return self.lora_alpha / self.rank

    def update(self, layer: str) -> Float[Tensor, "o i"]:
        """The layer's dense update s B A."""
        a, b = self.factors[layer]
        return self.scale * (b @ a)


def check_same_base(adapters: Sequence[Adapter]) -> None:
    """One base, one set of targets, one rank, one set of shapes: ValueError naming the layer where an adapter differs."""
    if not adapters:
        raise ValueError("adapters: got none, allowed is one or more")
    first = adapters[0]
    for k, other in enumerate(adapters):
        for layer in (*first.factors, *other.factors):
            if (layer in first.factors) != (layer in other.factors):
                raise ValueError(f"layer {layer}: adapter {k if layer in first.factors else 0} has no factors for it")
            for mine, theirs in zip(first.factors[layer], other.factors[layer], strict=True):
                if mine.shape != theirs.shape:
                    raise ValueError(
                        f"layer {layer}: adapter {k} has a factor of shape {tuple(theirs.shape)}, adapter 0 {tuple(mine.shape)}"
                    )
        if other.base != first.base:
            layer = next(iter(first.factors))
            raise ValueError(f"layer {layer}: adapter {k} was trained on base {other.base}, adapter 0 on {first.base}")


def save_adapter(adapter: Adapter, folder: Path, base_name: str = "") -> None:
    """Write the adapter so that peft's `PeftModel.from_pretrained(model, folder)` loads it; fingerprint and meta travel along."""
    from peft import LoraConfig
    from safetensors.torch import save_file

    tensors = {}
    for layer, (a, b) in adapter.factors.items():
        tensors[f"{PREFIX}{layer}.lora_A.weight"] = a.detach().cpu().contiguous()
        tensors[f"{PREFIX}{layer}.lora_B.weight"] = b.detach().cpu().contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    header = {"format": "pt", "base": adapter.base, "meta": json.dumps(dict(adapter.meta), allow_nan=False)}
    save_file(tensors, folder / WEIGHTS_FILE, metadata=header)
    LoraConfig(
        r=adapter.rank, lora_alpha=adapter.lora_alpha, target_modules=sorted(adapter.factors), bias="none",
        task_type="CAUSAL_LM", base_model_name_or_path=base_name, inference_mode=True,
    ).save_pretrained(str(folder))  # fmt: skip


def load_adapter(folder: Path, base: str | None = None) -> Adapter:
    """An adapter that `save_adapter` or peft saved, on the CPU.

    `base` is the fingerprint of the model it is for; peft's own files carry none, so they need it.

    Errors: ValueError for a setting of peft's that makes the update something else than s B A, for a missing or another
    fingerprint, for files that are not a LoRA adapter's.
    """
    from safetensors import safe_open

    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    for name, values in {"peft_type": ("LORA",), **PLAIN}.items():
        if config.get(name) not in values:
            raise ValueError(f"{folder}: {name} is {config.get(name)!r}, allowed is {values[0]!r}")
    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        header = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    trained_on = header.get("base", base)
    if trained_on is None or base not in (None, trained_on):
        raise ValueError(f"{folder}: trained on base {trained_on}, allowed is the fingerprint asked for, {base}")
    return Adapter(_factors(tensors, folder), float(config["lora_alpha"]), trained_on, json.loads(header.get("meta", "{}")))


def _factors(tensors: dict[str, Tensor], folder: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Pairs of factors out of peft's flat names."""
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        layer, _, part = key.removesuffix(".weight").removeprefix(PREFIX).rpartition(".lora_")
        if part not in ("A", "B"):
            raise ValueError(f"{folder}: {key} is no factor of a linear layer, allowed are lora_A and lora_B alone")
        pairs.setdefault(layer, {})[part] = tensor
    for layer, pair in pairs.items():
        if len(pair) < 2:
            raise ValueError(f"layer {layer}: factor {'AB'.replace(*pair, '')} is missing in {folder}")
    return {layer: (pair["A"], pair["B"]) for layer, pair in pairs.items()}
