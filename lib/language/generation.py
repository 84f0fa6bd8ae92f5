"""Continuations sampled in batches with common random numbers, as a whole or token by token, and next-token tables."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache

from lib.language.backbone import Backbone
from lib.seeds import Seeds


def generate(
    backbone: Backbone,
    prompts: Sequence[str],
    *,
    tokens: int,
    seeds: Seeds | Sequence[Seeds],
    temperature: float | int = 1.0,
    batch_size: int = 32,
) -> list[str]:
    """One continuation of each prompt, of at most `tokens` tokens; the prompt is not part of it.

    A token is drawn by an exponential race (the Gumbel-max trick [maddison2014]): the token i with the largest p_i / E_i, where
    the E are independent, exponential, and the same for every model: those of prompt i come from its own node, `seeds[i]`,
    or `seeds.child(i)` of a single node, one for each position and token of the vocabulary. So under the same seeds the
    texts of two models differ only where their distributions do: after the same beginning the next tokens differ with
    probability at most 2 d / (1 + d), d the total variation between p and q. And a prompt's continuation does not depend on
    its batch (but for two tokens within rounding of each other in a race, about one in a million).

    A continuation ends before a token of `backbone.stops`. Temperature 0 takes the likeliest token.

    Raises:
        ValueError: no prompts, one too long for the model's context, another number of nodes than prompts, or a setting
            outside of its bounds.
        FloatingPointError: the model's logits are NaN or infinite.
    """
    _check(backbone, prompts, tokens, temperature)
    if batch_size < 1:
        raise ValueError(f"batch_size: got {batch_size}, allowed are whole numbers >= 1")
    nodes, texts = _nodes(seeds, len(prompts)), [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # less padding
    for at in range(0, len(order), batch_size):
        chosen = order[at : at + batch_size]
        asked, numbers = [prompts[i] for i in chosen], [nodes[i] for i in chosen]
        for whole in _continued(backbone, asked, numbers, tokens=tokens, temperature=temperature):
            final = whole
        for i, ids in zip(chosen, final, strict=True):
            texts[i] = _text(backbone, ids)
    return texts


def stream(
    backbone: Backbone,
    prompts: Sequence[str],
    *,
    tokens: int,
    seeds: Seeds | Sequence[Seeds],
    temperature: float | int = 1.0,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[list[str]]:
    """`generate` in one batch, telling the continuations so far after every token; the last ones are what it returns.

    It ends early when `cancelled()` is true, asked before every further token, or when the iterator is closed. A character whose
    bytes are not complete yet is left out. Raises what `generate` does, at once.
    """
    _check(backbone, prompts, tokens, temperature)
    nodes = _nodes(seeds, len(prompts))
    told = _continued(backbone, prompts, nodes, tokens=tokens, temperature=temperature, cancelled=cancelled)
    return ([_text(backbone, ids) for ids in whole] for whole in told)


def next_tokens(backbone: Backbone, prefix: str, top: int = 10, also: Sequence[int] = ()) -> pd.DataFrame:
    """The `top` likeliest tokens after a prefix, and those numbered in `also`: columns token (text), id, probability.

    Sorted by falling probability. Raises ValueError for a prefix longer than the context or `top` outside of the vocabulary.
    """
    probabilities = next_log_probabilities(backbone, [prefix])[0].exp()
    if not 1 <= top <= len(probabilities):
        raise ValueError(f"top: got {top}, allowed are 1 to the vocabulary's {len(probabilities)} tokens")
    chosen = sorted({*probabilities.topk(top).indices.tolist(), *also}, key=lambda i: (-probabilities[i].item(), i))
    words = [backbone.tokenizer.decode([i]) for i in chosen]
    return pd.DataFrame({"token": words, "id": chosen, "probability": probabilities[chosen].tolist()})


@torch.inference_mode()
def next_log_probabilities(backbone: Backbone, prefixes: Sequence[str]) -> Float[Tensor, "n V"]:
    """log p(token | start token, prefix) for every token of the vocabulary, [n, V] on the CPU."""
    _check(backbone, prefixes, 1, 1.0)
    logits, _, _ = _read(backbone, prefixes)
    return _finite(backbone, logits).log_softmax(-1).cpu()


def _check(backbone: Backbone, prompts: Sequence[str], tokens: int, temperature: float | int) -> None:
    if isinstance(prompts, str) or not prompts:
        raise ValueError(f"prompts: got {prompts!r}, allowed is a list of at least one text")
    if tokens < 1:
        raise ValueError(f"tokens: got {tokens}, allowed are whole numbers >= 1")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature: got {temperature}, allowed are finite numbers >= 0")
    for index, row in enumerate(backbone.encode(prompts)):
        if (length := 1 + len(row) + tokens - 1) > backbone.context:
            raise ValueError(
                f"prompts[{index}]: {len(row)} tokens and {tokens} new ones need a context of {length}, "
                f"the model's is {backbone.context}"
            )


def _nodes(seeds: Seeds | Sequence[Seeds], count: int) -> list[Seeds]:
    nodes = [seeds.child(i) for i in range(count)] if isinstance(seeds, Seeds) else list(seeds)
    if len(nodes) != count:
        raise ValueError(f"seeds: got {len(nodes)} nodes for {count} prompts, allowed are one for each, or a single node")
    return nodes


@torch.inference_mode()
def _read(backbone: Backbone, prompts: Sequence[str]) -> tuple[Float[Tensor, "B V"], DynamicCache, Int[Tensor, "B T"]]:
    """One pass over the prompts behind the start token, padded on the left: last logits, the cache and the mask."""
    rows = [[backbone.start, *row] for row in backbone.encode(prompts)]
    longest = max(map(len, rows))
    padded = torch.tensor([[backbone.start] * (longest - len(row)) + row for row in rows], device=backbone.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=backbone.device)
    cache = DynamicCache(config=backbone.model.config)
    return _step(backbone, padded, mask, cache), cache, mask


def _step(backbone: Backbone, new: Int[Tensor, "B t"], mask: Int[Tensor, "B T"], cache: DynamicCache) -> Float[Tensor, "B V"]:
    """Logits after the new tokens. Places are counted from each row's start token, and padding is hidden by the mask."""
    places = (mask.cumsum(1) - 1).clamp_min(0)[:, -new.shape[1] :]
    seen = mask if (mask == 0).any() else None  # without padding the causal mask is enough
    out = backbone.model.base_model(new, attention_mask=seen, position_ids=places, past_key_values=cache, use_cache=True)
    return backbone.logits(out.last_hidden_state[:, -1]).float()


def _continued(
    backbone: Backbone,
    prompts: Sequence[str],
    nodes: Sequence[Seeds],
    *,
    tokens: int,
    temperature: float | int,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[list[list[int]]]:
    """The new tokens of every prompt so far, after each step; rows that have ended are fed on but not heard."""
    streams = [node.numpy() for node in nodes]
    told: list[list[int]] = [[] for _ in prompts]
    open_rows = set(range(len(prompts)))
    logits, cache, mask = _read(backbone, prompts)
    for position in range(tokens):
        chosen = _choose(_finite(backbone, logits), streams, temperature)
        for row, token in enumerate(chosen.tolist()):
            if row in open_rows and token in backbone.stops:
                open_rows.remove(row)
            elif row in open_rows:
                told[row].append(token)
        yield [list(row) for row in told]
        if not open_rows or position == tokens - 1 or cancelled():
            return
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        with torch.inference_mode():  # not around a yield: it would hold in the caller
            logits = _step(backbone, chosen[:, None], mask, cache)


def _finite(backbone: Backbone, logits: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
    """The same logits, once they are known to be numbers."""
    if not logits.isfinite().all():
        raise FloatingPointError(f"logits of {backbone.name!r} are NaN or infinite; its weights are too large or not finite")
    return logits


def _choose(logits: Float[Tensor, "B V"], streams: Sequence[np.random.Generator], temperature: float | int) -> Int[Tensor, " B"]:
    """The winner of each row's race, run with the next numbers of its stream; the likeliest token at temperature 0."""
    if temperature == 0:
        return logits.argmax(-1)
    weights = ((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1)  # the likeliest at 0: no overflow
    # In float64: NumPy's float32 draws are 0 once in nine million, and one race in 200 would go to any token at all.
    times = np.stack([stream.standard_exponential(weights.shape[-1]) for stream in streams])
    return (weights / torch.from_numpy(times).to(weights.device)).argmax(-1)


def _text(backbone: Backbone, tokens: list[int]) -> str:
    """The tokens as text, less a last character of which bytes are missing."""
    return backbone.tokenizer.decode(tokens).rstrip("\N{REPLACEMENT CHARACTER}")
