"""From a quantised GGUF file to float32 weights and a fast tokenizer that `transformers` loads in a second."""

from pathlib import Path
from typing import TYPE_CHECKING

from lib.data.errors import DataUnavailable

if TYPE_CHECKING:
    import gguf
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_CHECKED = {"token_embd.weight": "embed_tokens", "blk.0.ffn_down.weight": "layers.0.mlp.down_proj"}
_CHECKED |= {"blk.1.attn_v.weight": "layers.1.self_attn.v_proj", "output_norm.weight": "norm"}


def dequantise(file: Path, folder: Path) -> None:
    """Save the Llama-like language model of a GGUF file as safetensors in float32, with its tokenizer.

    Raises:
        DataUnavailable: the weights are not those that the gguf package reads out of the file.
    """
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from lib.data.models import no_loading_bars

    with no_loading_bars():
        reader, place = gguf.GGUFReader(file), {"gguf_file": file.name, "local_files_only": True}
        config = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(file.parent, quantization_config=config, dtype=torch.float32, **place)
        _check(reader, model)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
        _split_digits(reader, tokenizer)
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors keeps its files to their owner, but a cache may be shared


def _check(reader: "gguf.GGUFReader", model: "PreTrainedModel") -> None:
    """Some tensors against the gguf package's own de-quantisation, bit for bit."""
    import numpy as np
    from gguf.quants import dequantize

    stored = {tensor.name: tensor for tensor in reader.tensors}
    for theirs, ours in _CHECKED.items():
        tensor = stored[theirs]
        found = model.base_model.get_submodule(ours).weight.detach().numpy()
        if not np.array_equal(dequantize(tensor.data, tensor.tensor_type).reshape(found.shape), found):
            raise DataUnavailable(f"tensor {theirs} of the GGUF file was not de-quantised as the gguf package does it")


def _split_digits(reader: "gguf.GGUFReader", tokenizer: "PreTrainedTokenizerFast") -> None:
    """SmolLM's tokenizer sets every digit apart before it looks for words; transformers' reader of GGUF files forgets that.

    Without it "a\\n\\n1" is cut into a, newline, newline, 1 instead of a, two newlines, 1.
    """
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    kind = reader.get_field("tokenizer.ggml.pre")
    if kind is not None and kind.contents() == "smollm":
        words = ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), words])
