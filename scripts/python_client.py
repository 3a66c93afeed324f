"""A client in another language: docs/protocol.md and nothing of this project's code.

python_client.py RELAY_URL MODEL_DIR [--seed N]: joins the relay's first room, makes one adapter step with `peft` from the
room's initial adapter, sends the change in the room's encoding and prints the receipt as JSON. MODEL_DIR holds the base
model in Hugging Face layout, the one that the room's manifest names.
"""
import argparse
import hashlib
import json
import math
import struct
import sys
import urllib.request

import numpy
import socketio
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

MASK = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10, vectorised over the first counter word: [n] -> [n, 4] words."""
    c = [numpy.asarray(word, dtype=numpy.uint64) for word in counter]
    k0, k1 = key
    for _ in range(10):
        p0 = numpy.uint64(0xD2511F53) * c[0]
        p1 = numpy.uint64(0xCD9E8D57) * c[2]
        low, high = numpy.uint64(MASK), numpy.uint64(32)
        c = [
            (p1 >> high) ^ c[1] ^ numpy.uint64(k0),
            p1 & low,
            (p0 >> high) ^ c[3] ^ numpy.uint64(k1),
            p0 & low,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return numpy.stack(c, axis=1)


def key_of(seed, label):
    return struct.unpack("<2I", hashlib.sha256(f"{seed}\n{label}".encode()).digest()[:8])


def words(seed, label, count):
    blocks = numpy.arange((count + 3) // 4, dtype=numpy.uint64)
    zeros = numpy.zeros_like(blocks)
    return philox([blocks, zeros, zeros, zeros], key_of(seed, label)).reshape(-1)[:count]


def initial_a(seed, name, rank, inputs):
    u = (words(seed, f"{name}.lora_A.weight", rank * inputs) >> numpy.uint64(8)).astype(numpy.float64) * 2.0**-24
    return ((2 * u - 1) * (1 / math.sqrt(inputs))).astype(numpy.float32).reshape(rank, inputs)


def canonical(value):
    """RFC 8785 for what a manifest holds; numbers as ECMAScript writes them."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{canonical(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        mantissa, _, exponent = repr(value).partition("e")
        if not exponent:
            return mantissa
        power = int(exponent)
        if -7 < power < 0:  # Python changes to exponents at 1e-5, ECMAScript at 1e-7
            return f"{value:.{-power + len(mantissa.replace('.', '').lstrip('-')) - 1}f}"
        return f"{mantissa}e{'+' if power > 0 else '-'}{abs(power)}"
    return json.dumps(value, ensure_ascii=False)


def encode(change, manifest, manifest_digest, examples):
    """change: name -> float32 array in the manifest's order. The update format, byte by byte."""
    encoding = manifest["update"]["encoding"]
    scales, tensors = [], []
    for name, array in change.items():
        flat = array.astype(numpy.float32).reshape(-1)
        if encoding != "i8":
            kind = numpy.float16 if encoding == "f16" else numpy.float32
            tensors.append((name, encoding.upper(), list(array.shape), flat.astype(kind).tobytes()))
            continue
        padded = numpy.zeros(-(-flat.size // 64) * 64, numpy.float32)
        padded[: flat.size] = flat
        blocks = padded.reshape(-1, 64)
        scale = (numpy.abs(blocks).max(axis=1) / numpy.float32(127)).astype(numpy.float32)
        ratio = blocks / numpy.where(scale > 0, scale, 1)[:, None]
        codes = numpy.floor(ratio + numpy.random.default_rng().random(blocks.shape))
        codes = numpy.clip(codes, -127, 127).astype(numpy.int8).reshape(-1)[: flat.size]
        scales.append((f"{name}.scale", "F32", [scale.size], scale.tobytes()))
        tensors.append((name, "I8", list(array.shape), codes.tobytes()))
    metadata = {"format": "oneround-update", "version": "1", "manifest": manifest_digest, "examples": str(examples)}
    header, offset = {"__metadata__": metadata}, 0
    for name, dtype, shape, data in scales + tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(data for *_, data in scales + tensors)


def train(manifest, model_dir, seed):
    """One step of peft's LoRA from the room's initial adapter; the change, name -> array."""
    adapter = manifest["adapter"]
    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    targets = sorted({module["name"].rsplit(".", 1)[1] for module in adapter["modules"]})
    model = get_peft_model(base, LoraConfig(r=adapter["rank"], lora_alpha=adapter["alpha"], target_modules=targets))
    parameters = dict(model.named_parameters())
    start = {}
    with torch.no_grad():
        for module in adapter["modules"]:
            name = module["name"]
            a = initial_a(adapter["seed"], name, adapter["rank"], module["inFeatures"])
            parameters[f"{name}.lora_A.default.weight"].copy_(torch.from_numpy(a))
            start[f"{name}.lora_A.weight"] = a
            start[f"{name}.lora_B.weight"] = numpy.zeros((module["outFeatures"], adapter["rank"]), numpy.float32)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0)
    for _ in range(2):
        tokens = torch.randint(0, base.config.vocab_size, (1, 16))
        model(input_ids=tokens, labels=tokens).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = lambda name: parameters[name.replace(".weight", ".default.weight")].detach().numpy()
    return {name: after(name) - before for name, before in start.items()}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("relay_url")
    options.add_argument("model_dir")
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    with urllib.request.urlopen(f"{options.relay_url}/api/rooms") as answer:
        room = json.load(answer)["rooms"][0]["room"]
    # The document's test vectors first: a wrong generator would train from another adapter than everybody else.
    assert key_of("7", "initial") == (0x4E9F1B1B, 0x5ABE170F), "key of (seed, label)"
    assert philox([numpy.zeros(1, numpy.uint64)] * 4, (0, 0))[0, 0] == 0x6627E8D5, "Philox"
    vector = initial_a("oneround", "base_model.model.model.layers.0.self_attn.q_proj", 2, 4)
    bits = "3ee5b072 3c88e560 be31d08c 3d437de0 be945234 be8e7c66 3da7c548 3ec099aa"
    assert " ".join(f"{word:08x}" for word in vector.reshape(-1).view(numpy.uint32)) == bits, "initial adapter"

    client = socketio.Client(reconnection=False)
    client.connect(options.relay_url, transports=["websocket"])

    def ask(event, payload):
        answer = client.call(event, payload, timeout=60)
        if not answer["ok"]:
            sys.exit(f"{event} was refused: {answer['code']}")
        return answer

    joined = ask("join", {"protocolVersion": 1, "room": room})
    manifest = joined["manifest"]
    own = hashlib.sha256(canonical(manifest).encode()).hexdigest()
    if own != joined["manifestDigest"]:
        sys.exit(f"the manifest has digest {own}, announced was {joined['manifestDigest']}")
    update = encode(train(manifest, options.model_dir, options.seed), manifest, own, 2)
    digest = hashlib.sha256(update).hexdigest()
    offset = ask("begin", {"digest": digest, "bytes": len(update)})["offset"]
    while offset < len(update):
        data = update[offset : offset + manifest["limits"]["chunkBytes"]]
        offset = ask("chunk", {"offset": offset, "data": data})["offset"]
    receipt = ask("commit", {"digest": digest})["receipt"]
    client.disconnect()
    print(json.dumps(receipt))


main()
