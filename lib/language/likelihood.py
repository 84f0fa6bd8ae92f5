"""How surprising texts are to a model: negative log-likelihood in nats, per token and per byte."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.language.backbone import Backbone

CHUNK = 512  # places whose logits exist at once: 100 MB in float32 for a vocabulary of 49152


@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood of n texts in nats (float64), with their tokens and UTF-8 bytes, on the CPU."""

    nats: Float[Tensor, " n"]
    tokens: Int[Tensor, " n"]
    bytes: Int[Tensor, " n"]

    @property
    def nats_per_token(self) -> float:
        """Over all texts together; its exponential is the perplexity, to be compared only for one tokenizer."""
        return (self.nats.sum() / self.tokens.sum()).item()

    @property
    def bits_per_byte(self) -> float:
        """Over all texts together: the unit that models with different tokenizers share."""
        return (self.nats.sum() / self.bytes.sum()).item() / math.log(2)


def text_likelihood(backbone: Backbone, texts: Sequence[str], batch_size: int = 16) -> Likelihood:
    """-log p(text) of each text on its own.

    The sum over its tokens of -log p(token | start token, tokens before it): the first token counts too, behind
    `backbone.start`, and the end of the text does not. The result does not depend on `batch_size` beyond rounding.

    Raises:
        ValueError: no texts, an empty one, one longer than the model's context, or a batch size below 1.
        FloatingPointError: the model's logits are NaN or infinite.
    """
    return _scored(backbone, [[] for _ in texts], texts, batch_size)


def conditional_likelihood(backbone: Backbone, prompts: Sequence[str], texts: Sequence[str], batch_size: int = 16) -> Likelihood:
    """-log p(text | prompt) of each pair, like `text_likelihood`.

    Prompt and text are turned into tokens apart from each other, so a text that goes on after a word begins with a space.

    Raises:
        ValueError: as `text_likelihood`, and for another number of prompts than texts.
        FloatingPointError: the model's logits are NaN or infinite.
    """
    if len(prompts) != len(texts):
        raise ValueError(f"prompts: got {len(prompts)} for {len(texts)} texts, allowed is one for each")
    return _scored(backbone, backbone.encode(prompts), texts, batch_size)


def _scored(backbone: Backbone, before: list[list[int]], texts: Sequence[str], batch_size: int) -> Likelihood:
    """Texts behind tokens that are not counted."""
    _check(backbone, texts, batch_size)
    tokens = backbone.encode(texts)
    for index, (early, own) in enumerate(zip(before, tokens, strict=True)):
        if (length := len(early) + len(own)) > backbone.context:
            raise ValueError(
                f"texts[{index}]: got {length} tokens with its prompt, allowed are the model's context of {backbone.context}"
            )
    lengths = [len(own) for own in tokens]
    whole = [[backbone.start, *early, *own] for early, own in zip(before, tokens, strict=True)]
    nats = _nats(backbone, whole, lengths, batch_size)
    return Likelihood(nats, torch.tensor(lengths), torch.tensor([len(text.encode()) for text in texts]))


def _check(backbone: Backbone, texts: Sequence[str], batch_size: int) -> None:
    if not texts:
        raise ValueError("texts: got none, allowed is at least one")
    if "" in texts:
        raise ValueError(f"texts[{list(texts).index('')}]: got an empty text, allowed is at least one character")
    if batch_size < 1:
        raise ValueError(f"batch_size: got {batch_size}, allowed are whole numbers >= 1")


def _nats(backbone: Backbone, sequences: list[list[int]], counted: list[int], batch_size: int) -> Float[Tensor, " n"]:
    """The cost of the last `counted` tokens of each sequence, all but its first at most, [n] in float64.

    Sequences of like length share a batch, padded on the right: under the causal mask no token sees what stands after it.
    """
    order = sorted(range(len(sequences)), key=lambda i: (-len(sequences[i]), i))
    total = torch.zeros(len(sequences), dtype=torch.float64)
    for at in range(0, len(order), batch_size):
        chosen = order[at : at + batch_size]
        total[chosen] = _batch_nats(backbone, [sequences[i] for i in chosen], [counted[i] for i in chosen])
    return total


@torch.inference_mode()
def _batch_nats(backbone: Backbone, sequences: list[list[int]], counted: list[int]) -> Float[Tensor, " B"]:
    """The same for one batch, sequences by falling length; logits exist for `CHUNK` places at a time."""
    longest = len(sequences[0])
    tokens = torch.tensor([row + [backbone.start] * (longest - len(row)) for row in sequences], device=backbone.device)
    hidden = backbone.hidden(tokens[:, :-1])
    place = torch.arange(1, longest, device=backbone.device)
    ends = torch.tensor([len(row) for row in sequences], device=backbone.device)[:, None]
    wanted = (place < ends) & (place >= ends - torch.tensor(counted, device=backbone.device)[:, None])
    chosen, targets = hidden[wanted], tokens[:, 1:][wanted]
    costs = [_costs(backbone, h, t) for h, t in zip(chosen.split(CHUNK), targets.split(CHUNK), strict=True)]
    owner = wanted.nonzero()[:, 0].cpu()
    return torch.zeros(len(sequences), dtype=torch.float64).index_add(0, owner, torch.cat(costs).double().cpu())


def _costs(backbone: Backbone, hidden: Float[Tensor, "N d"], targets: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """-log softmax(head(hidden))[target] at every place."""
    costs = torch.nn.functional.cross_entropy(backbone.logits(hidden).float(), targets, reduction="none")
    if not costs.isfinite().all():
        raise FloatingPointError(
            f"log-likelihood under {backbone.name!r} is NaN or infinite; its weights are too large or not finite"
        )
    return costs
