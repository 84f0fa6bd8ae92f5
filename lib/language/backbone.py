"""The frozen language model that every adapter and mixture starts from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from lib.data.models import MODELS, model_folder, no_loading_bars
from lib.language.tiny import tiny_model, tiny_tokenizer
from lib.seeds import Seeds

SEPARATOR = "<|endoftext|>"  # what GPT-2's descendants saw between the documents that they were pretrained on
TINY = "tiny"


@dataclass(frozen=True)
class Backbone:
    """A causal language model with frozen weights, its tokenizer, and a hash that names exactly these weights.

    The model is in evaluation mode and takes no gradients; the tokenizer has a padding token and pads on the left.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    fingerprint: str

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.device

    @property
    def context(self) -> int:
        """The longest sequence, in tokens, the start token included."""
        return self.model.config.max_position_embeddings

    @property
    def start(self) -> int:
        """The token put before every text, so that its first token has a context: what ended the document before it.

        It is the separator of documents in pretraining where the vocabulary has one, else the tokenizer's BOS, else its EOS.
        (For SmolLM2-135M-Instruct it matters: on plain sentences the tokens after the first cost 3.0 nats each behind
        `<|endoftext|>`, 3.8 behind nothing and 3.9 behind its nominal BOS `<|im_start|>`, which opens a chat turn.)
        """
        chosen = self.tokenizer.get_added_vocab().get(SEPARATOR)
        return next(token for token in (chosen, self.tokenizer.bos_token_id, self.tokenizer.eos_token_id) if token is not None)

    @property
    def stops(self) -> frozenset[int]:
        """The tokens that end a text: the tokenizer's EOS and the start of another one."""
        return frozenset({self.start, self.tokenizer.eos_token_id} - {None})

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text and nothing else: no start token, no padding, no truncation."""
        return self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []

    def hidden(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T d"]:
        """What the head reads at every place, without a cache. Sequences begin at place 0; pad them on the right."""
        return self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state

    def logits(self, hidden: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape V"]:
        """The head alone."""
        return self.model.get_output_embeddings()(hidden)


def load_backbone(name: str = "smollm2-135m", device: torch.device | str = "cpu") -> Backbone:
    """The model of that name in float32, frozen, on `device`.

    `name`: one of `lib.data.models`' catalogue, a local folder, a name on the Hugging Face Hub, or "tiny": a random one of
    about 100 000 parameters for tests (`tiny_backbone`).

    Raises:
        DataUnavailable: there is no such model here; the message names the ways to get it.
        ValueError: the model's tokenizer or head is of a kind that the suite cannot use.
    """
    if name == TINY:
        return tiny_backbone(device=device)
    folder = model_folder(name)
    with no_loading_bars():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    backbone = frozen(name, model, tokenizer, device)
    if name not in MODELS:
        _check_head(backbone)
    return backbone


def tiny_backbone(seeds: Seeds | None = None, device: torch.device | str = "cpu") -> Backbone:
    """A random Llama (RMSNorm, grouped-query attention, rotary positions, tied embeddings) with a byte-level BPE tokenizer."""
    seeds = seeds or Seeds(0).child("language", TINY)
    tokenizer = tiny_tokenizer()
    return frozen(TINY, tiny_model(tokenizer, seeds), tokenizer, device)


def frozen(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, device: torch.device | str) -> Backbone:
    """The backbone of a model and a tokenizer, both changed in place.

    Raises:
        ValueError: the tokenizer is not a fast one or has neither BOS nor EOS.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ValueError(f"tokenizer of {name!r}: got a {type(tokenizer).__name__}, allowed are those with a tokenizer.json")
    if tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
        raise ValueError(f"tokenizer of {name!r}: it has neither a BOS nor an EOS token, allowed is at least one")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.bos_token
    model = model.eval().requires_grad_(False)
    return Backbone(name, model.to(device), tokenizer, fingerprint(model))


def fingerprint(model: PreTrainedModel) -> str:
    """16 hexadecimal digits of a sha256 over the names, shapes, types and bytes of all weights, tied ones once."""
    total = hashlib.sha256()
    for name, value in sorted(model.named_parameters()):
        total.update(f"{name}:{tuple(value.shape)}:{value.dtype};".encode())
        total.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return total.hexdigest()[:16]


@torch.no_grad()
def _check_head(backbone: Backbone) -> None:
    """Some families scale or squash their logits after the head; likelihoods from the head alone would then be wrong."""
    tokens = torch.tensor([[backbone.start, 1, 2, 3]], device=backbone.device)
    alone, whole = backbone.logits(backbone.hidden(tokens)), backbone.model(tokens).logits
    if not torch.allclose(alone, whole, rtol=1e-3, atol=1e-3):
        raise ValueError(
            f"model {backbone.name!r}: its logits are not its head's output, allowed are models that do not rescale it"
        )
