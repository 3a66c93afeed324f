"""Logits of a base model with a PEFT adapter, as Python's own libraries compute them.

python peft_check.py MODEL_DIR ADAPTER_DIR IDS_JSON OUT

IDS_JSON is a list of rows of token ids. OUT gets a float32 file of [rows, tokens, vocabulary] for the base
model, followed by the same for the adapted one.
"""

import json
import sys

import numpy
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

model_dir, adapter_dir, ids_file, out_file = sys.argv[1:]
with open(ids_file, encoding="utf-8") as file:
    ids = torch.tensor(json.load(file))

base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager").eval()
with torch.no_grad():
    base_logits = base(ids).logits
    adapted = PeftModel.from_pretrained(base, adapter_dir).eval()
    adapted_logits = adapted(ids).logits

# A tensor that peft did not find in the file keeps its start (B = 0) without a word; the caller wants to know.
unmatched = [
    name
    for name, parameter in adapted.named_parameters()
    if "lora_B" in name and not bool(parameter.any())
]
if unmatched:
    sys.exit("peft loaded nothing for " + ", ".join(unmatched))

with open(out_file, "wb") as file:
    for logits in (base_logits, adapted_logits):
        file.write(numpy.ascontiguousarray(logits.numpy(), dtype="<f4").tobytes())
