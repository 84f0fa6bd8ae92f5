"""The language studies' three speed claims on the real model, each against what a user of peft and transformers would write.

- A new mix of ten anchors and the first token behind a prompt of 12 tokens: merged by `Mixer`, against peft's
  `add_weighted_adapter(combination_type="cat")`. Both sides' logits must agree.
- Two anchors trained side by side, against peft with torch.optim.AdamW one after the other: same start, same batches.
  Losses must agree (in bfloat16 nearly). `floor` is the time of the matrix products alone at the rate measured here.
- Eight prompts continued in one batch, against one by one: the plain model, and the one with which studies and explorer write
  (`lib.language.reading`). The plain model's texts must be the same; in bfloat16 rounding depends on the number of rows, and two
  tokens that are all but equally likely may change places: how many texts are `different` is told.

Ours and the peer run in turn; the ratio is the median of the turns' ratios, `noise` their interquartile range. Seconds are of
the processor, all threads together, divided by the number of threads: the machine may be shared. `wall_ratio` is by the clock on
the wall, which counts threads that wait, too.
"""

import copy
import statistics
import time
from collections.abc import Callable

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from lib.data.errors import DataUnavailable
from lib.language.adapters import TARGETS, Adapter
from lib.language.backbone import Backbone, load_backbone
from lib.language.lanes import Lanes
from lib.language.mixing import Mixer
from lib.language.reading import reader
from lib.language.training import Recipe, _backward
from lib.seeds import Seeds

SEEDS, RECIPE, PROMPT = Seeds(0).child("bench"), Recipe(), 12
ANCHORS, LANES, CONTINUED, NEW_TOKENS = 10, 2, 8, 16
CLOSE_LOGITS, CLOSE_LOSS = 1e-2, 0.02


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the processor a thread, and on the wall."""
    wall, start = time.perf_counter(), time.process_time()
    call()
    return (time.process_time() - start) / torch.get_num_threads(), time.perf_counter() - wall


def busy(call: Callable[[], object]) -> float:
    """Seconds of the processor a thread."""
    return seconds(call)[0]


def in_turn(ours: Callable[[], object], peer: Callable[[], object], repeats: int) -> dict:
    """Both sides measured in turn."""
    ours(), peer()
    turns = [(*seconds(ours), *seconds(peer)) for _ in range(repeats)]
    low, middle, high = statistics.quantiles([theirs / mine for mine, _, theirs, _ in turns], n=4)
    mine, _, theirs, _ = (statistics.median(side) for side in zip(*turns, strict=True))
    wall = statistics.median(theirs / mine for _, mine, _, theirs in turns)
    return {"ours_s": mine, "peer_s": theirs, "ratio": middle, "wall_ratio": wall, "noise": high - low, "repeats": repeats}


def check(name: str, difference: float, allowed: float) -> float:
    """RuntimeError if both sides did not compute the same."""
    if not difference <= allowed:
        raise RuntimeError(f"{name}: the two sides differ by {difference:.3g}, allowed is {allowed:g}")
    return difference


def with_peft(backbone: Backbone, names: list[str]) -> torch.nn.Module:
    """A model of peft's with an adapter for each name, beside the backbone's own: weights are shared, modules are not."""
    # Parameters of its own over the same memory: the mixer puts other memory into the backbone's.
    shared = {id(own): torch.nn.Parameter(own.detach(), requires_grad=False) for own in backbone.model.parameters()}
    config = LoraConfig(r=RECIPE.rank, lora_alpha=RECIPE.lora_alpha, target_modules=list(TARGETS), task_type="CAUSAL_LM")
    model = get_peft_model(copy.deepcopy(backbone.model, shared), config, adapter_name=names[0])
    for name in names[1:]:
        model.add_adapter(name, config)
    return model


def branches(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """peft's layers under their names in the plain model."""
    return {name.removeprefix("base_model.model."): m for name, m in model.named_modules() if hasattr(m, "lora_A")}


def tokens(*shape: int) -> Tensor:
    """Random ones; time does not depend on which."""
    return torch.randint(1000, 40000, shape, generator=SEEDS.child(*shape).torch())


@torch.no_grad()
def mix(backbone: Backbone, repeats: int) -> dict:
    """Slider to first token."""
    names = [f"anchor{k}" for k in range(ANCHORS)]
    model, generator = with_peft(backbone, names), SEEDS.child("factors").torch()
    adapters: dict[str, Adapter] = {}
    for name in names:
        factors = {}
        for layer, branch in branches(model).items():
            a, b = branch.lora_A[name].weight, branch.lora_B[name].weight
            b.normal_(std=0.01, generator=generator)
            factors[layer] = (a.detach().clone(), b.detach().clone())
        adapters[name] = Adapter(factors, RECIPE.lora_alpha, backbone.fingerprint)
    mixer, prompt, state = Mixer(backbone, adapters), tokens(1, PROMPT), {"turn": 0}

    def weights() -> list[float]:
        share = torch.rand(ANCHORS, generator=SEEDS.child(state["turn"]).torch())
        return (share / share.sum()).tolist()

    def ours() -> Tensor:
        mixer.apply(dict(zip(names, weights(), strict=True)))
        return backbone.model(prompt, use_cache=True, logits_to_keep=1).logits

    def peer() -> Tensor:
        if "mix" in model.peft_config:
            model.delete_adapter("mix")
        model.add_weighted_adapter(names, weights(), adapter_name="mix", combination_type="cat")
        model.set_adapter("mix")
        state["turn"] += 1
        return model(prompt, use_cache=True, logits_to_keep=1).logits

    difference = float((ours() - peer()).abs().max())
    row = in_turn(ours, peer, repeats)
    only = statistics.median(busy(lambda: mixer.apply(dict(zip(names, weights(), strict=True)))) for _ in range(repeats))
    mixer.restore()
    return row | {
        "name": "a new mix and the first token", "peer": "peft add_weighted_adapter(cat)", "apply_s": only,
        "size": f"{ANCHORS} anchors of rank {RECIPE.rank}, prompt of {PROMPT}",
        "largest_difference": check("mix", difference, CLOSE_LOGITS),
    }  # fmt: skip


def train(backbone: Backbone, repeats: int, precision: str) -> dict:
    """A step of two anchors."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    lanes = Lanes(
        backbone.model, TARGETS, RECIPE.rank, RECIPE.lora_alpha / RECIPE.rank, dtype, [SEEDS.child(k) for k in range(LANES)]
    )
    models = [with_peft(backbone, ["default"]) for _ in range(LANES)]
    for k, model in enumerate(models):
        for layer, branch in branches(model).items():
            branch.lora_A["default"].weight.data = lanes.branches[layer].a[k].detach().clone()
    ids = tokens(LANES, RECIPE.batch, RECIPE.block)
    mine = torch.optim.AdamW(lanes.parameters(), lr=RECIPE.lr, foreach=True)
    theirs = [torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RECIPE.lr) for model in models]

    def ours() -> list[float]:
        losses = _backward(lanes, ids).tolist()
        mine.step()
        mine.zero_grad()
        return losses

    def peer() -> list[float]:
        losses = []
        for model, optimiser, rows in zip(models, theirs, ids, strict=True):
            loss = model(input_ids=rows, labels=rows).loss
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
        return losses

    difference = max(abs(a - b) for a, b in zip(ours(), peer(), strict=True))
    row = in_turn(ours, peer, repeats)
    flops = 4 * sum(p.numel() for p in backbone.model.parameters()) * ids.numel() / 1e9
    return row | {
        "name": f"a step of {LANES} anchors side by side, {precision}", "peer": "peft and AdamW, one after the other",
        "size": f"{RECIPE.batch} x {RECIPE.block} tokens each, rank {RECIPE.rank}",
        "floor": flops / (matmul_gflops(backbone, dtype) * torch.get_num_threads()),
        "largest_difference": check("train", difference, CLOSE_LOSS if precision == "bfloat16" else 1e-4),
    }  # fmt: skip


def matmul_gflops(backbone: Backbone, dtype: torch.dtype) -> float:
    """A thread's rate at the model's own widest product, in 10^9 operations a second."""
    weight = backbone.model.model.layers[0].mlp.up_proj.weight.to(dtype)
    x = torch.ones(LANES * RECIPE.batch * RECIPE.block, weight.shape[1], dtype=dtype)
    fastest = min(busy(lambda: [x @ weight.T for _ in range(10)]) for _ in range(5)) / 10
    return 2 * weight.numel() * len(x) / 1e9 / fastest / torch.get_num_threads()


def batched(backbone: Backbone, repeats: int, precision: str) -> dict:
    """Continuations in one batch."""
    from lib.language.generation import generate

    prompts = ["The weather in the north was", "My neighbour told me that", "In the old town there is a"] * 3
    prompts, seeds = prompts[:CONTINUED], SEEDS.child("continue")
    seen: dict[str, list[str]] = {}

    def ours() -> None:
        seen["ours"] = generate(backbone, prompts, tokens=NEW_TOKENS, temperature=0.0, seeds=seeds)

    def peer() -> None:
        seen["peer"] = [generate(backbone, [p], tokens=NEW_TOKENS, temperature=0.0, seeds=seeds)[0] for p in prompts]

    row = in_turn(ours, peer, repeats)
    different = sum(a != b for a, b in zip(seen["ours"], seen["peer"], strict=True))
    return row | {
        "name": f"continuations in one batch, {precision}", "peer": "the same, prompt by prompt",
        "size": f"{CONTINUED} prompts, {NEW_TOKENS} tokens, greedy", "tokens_per_s": CONTINUED * NEW_TOKENS / row["ours_s"],
        "different": check("generation", different, 0 if precision == "full" else CONTINUED),
    }  # fmt: skip


def rows(device: str = "cpu", repeats: int = 5) -> list[dict]:
    """All of them; none, with a message, where the real model cannot be had."""
    try:
        backbone = load_backbone(device=device)
    except DataUnavailable as error:
        print(f"bench_language skipped: the model is not here: {error}")
        return []
    measured = [mix(backbone, repeats), batched(backbone, repeats, "full")]
    measured += [batched(reader(backbone, "bfloat16"), repeats, "bfloat16")]
    measured += [train(backbone, repeats, precision) for precision in ("bfloat16", "full")]
    return [row | {"device": device, "threads": torch.get_num_threads()} for row in measured]


if __name__ == "__main__":
    for row in rows():
        print({key: float(f"{value:.3g}") if isinstance(value, float) else value for key, value in row.items()})
