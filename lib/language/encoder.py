"""Sentence embeddings with all-MiniLM-L6-v2, independent of the language model that is judged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from lib.data.models import model_folder, no_loading_bars

ENCODER = "minilm"  # in the catalogue of models
LONGEST = 128  # word pieces of a text that are read; 300 characters are about 70
BUDGET = 1024  # word pieces of a batch, padding included: small enough for a core's cache, large enough to keep it busy


@dataclass(frozen=True)
class SentenceEncoder:
    """A frozen text encoder. A text's embedding is the mean over its word pieces of the middle layer and of the last one.

    The last layer alone was trained to tell what sentences are about; how they are said is told by the middle one too.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The embedding of each text in the given order: two halves of one length, together of length 1 [reimers2019].

        Texts of like length share a batch, so that padding costs little; nothing is kept between calls.
        ValueError where there is no text.
        """
        if not texts:
            raise ValueError("texts: got none, allowed is at least one")
        tokens = self.tokenizer(list(texts), truncation=True, max_length=LONGEST)["input_ids"]
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
        found = torch.empty(len(tokens), 2, self.model.config.hidden_size)
        for batch in _batches([len(tokens[index]) for index in order]):
            rows = order[batch]
            found[rows] = self._pooled([tokens[row] for row in rows])
        return (torch.nn.functional.normalize(found, dim=2) / 2**0.5).flatten(1).numpy()

    def _pooled(self, tokens: list[list[int]]) -> torch.Tensor:
        longest = max(map(len, tokens))
        ids = torch.tensor([row + [self.tokenizer.pad_token_id] * (longest - len(row)) for row in tokens])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in tokens])
        device = self.model.device
        layers = self.model(input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=True).hidden_states
        both = torch.stack([layers[len(layers) // 2], layers[-1]], dim=1).float().cpu()
        return (both * mask[:, None, :, None]).sum(2) / mask.sum(1)[:, None, None]


def _batches(lengths: Sequence[int]) -> list[slice]:
    """Runs of ascending lengths whose padded size stays within the budget; at least one text each."""
    starts = [0]
    for place, length in enumerate(lengths):
        if (place + 1 - starts[-1]) * length > BUDGET and place > starts[-1]:
            starts.append(place)
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def load_encoder(device: torch.device | str = "cpu") -> SentenceEncoder:
    """all-MiniLM-L6-v2 (22.7 M parameters, 2 x 384 dimensions), fetched on first use (DataUnavailable where it cannot be)."""
    folder = model_folder(ENCODER)
    with no_loading_bars():
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return SentenceEncoder(model.eval().requires_grad_(False).to(device), tokenizer)
