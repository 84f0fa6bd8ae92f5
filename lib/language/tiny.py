"""A random model of SmolLM2's family that is built in well under a second: the same code paths without the weights."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.initialization import no_init_weights

from lib.seeds import Seeds

_END, _VOCABULARY = "<|endoftext|>", 512
_PEOPLE = ("the old farmer", "my sister", "a tall stranger", "the young teacher", "our neighbour", "every child in the village")
_DEEDS = ("walked slowly to", "could not find", "would like to visit", "remembered", "was waiting near", "has never seen")
_PLACES = ("the wooden bridge.", "a quiet market in 1984!", "the harbour, before the rain.", "an empty room?", "the garden gate.")


def fixed_text() -> list[str]:
    """180 sentences of ours, always the same."""
    return [f"{who.capitalize()} {what} {where}" for who in _PEOPLE for what in _DEEDS for where in _PLACES]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE with digits apart, as SmolLM2's, of 512 tokens learnt on the fixed text; `<|endoftext|>` is 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=_VOCABULARY, special_tokens=[_END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(fixed_text(), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=_END, eos_token=_END, pad_token=_END)


def tiny_model(tokenizer: PreTrainedTokenizerFast, seeds: Seeds) -> LlamaForCausalLM:
    """Two layers of width 64 with 4 heads and 2 key-value heads; weights N(0, 1 / fan-in), norms 1."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    with no_init_weights():  # transformers' own initialisation draws from the generator that the process shares
        model = LlamaForCausalLM(config)
    model.tie_weights()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() == 1:
                value.fill_(1.0)
            else:
                value.normal_(std=value.shape[-1] ** -0.5, generator=seeds.child(name).torch())
    return model
