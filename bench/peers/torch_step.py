"""One rank of PyTorch's DistributedDataParallel over gloo, on one thread: answers a JSON line for each JSON line.

The same GPT-2 as ours (pre-norm, tied head, tanh GELU), or the same Llama, from the same weights and batches; see step_task.ts.
"""
import json
import math
import os
import sys
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def read_safetensors(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header, data = json.loads(file.read(size)), file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        values = np.frombuffer(data[start:end], dtype=np.float32).reshape(entry["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


class Block(nn.Module):
    def __init__(self, embed, heads, future):
        super().__init__()
        self.heads, self.future = heads, [future]  # in a list: not a buffer, gloo cannot broadcast booleans
        self.ln_1, self.ln_2 = nn.LayerNorm(embed), nn.LayerNorm(embed)
        self.c_attn, self.attn_proj = nn.Linear(embed, 3 * embed), nn.Linear(embed, embed)
        self.c_fc, self.mlp_proj = nn.Linear(embed, 4 * embed), nn.Linear(4 * embed, embed)

    def forward(self, x):
        B, T, C = x.shape
        split = lambda z: z.view(B, T, self.heads, C // self.heads).transpose(1, 2)
        q, k, v = map(split, self.c_attn(self.ln_1(x)).split(C, 2))
        scores = q @ k.transpose(-2, -1) / math.sqrt(C // self.heads)
        weights = F.softmax(scores.masked_fill(self.future[0], float("-inf")), -1)
        x = x + self.attn_proj((weights @ v).transpose(1, 2).reshape(B, T, C))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, heads, embed, context, vocab, **_):
        super().__init__()
        future = torch.triu(torch.ones(context, context, dtype=torch.bool), 1)
        self.wte, self.wpe = nn.Embedding(vocab, embed), nn.Embedding(context, embed)
        self.h = nn.Sequential(*[Block(embed, heads, future) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(embed)

    def forward(self, ids, targets):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        logits = self.ln_f(self.h(x)) @ self.wte.weight.t()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def load(self, tensors):
        """Takes GPT-2's weights, whose linear layers are stored [in, out]."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                stored = name.replace("c_attn", "attn.c_attn").replace("attn_proj", "attn.c_proj")
                stored = stored.replace("c_fc", "mlp.c_fc").replace("mlp_proj", "mlp.c_proj")
                value = tensors[stored]
                is_linear = parameter.dim() == 2 and not name.startswith("w")
                parameter.copy_(value.t() if is_linear else value)


class RmsNorm(nn.Module):
    def __init__(self, embed):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(embed))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


class LlamaBlock(nn.Module):
    def __init__(self, embed, heads, kvHeads, inner, places):
        super().__init__()
        self.heads, self.kv_heads, self.places = heads, kvHeads, places
        linear = lambda inputs, outputs: nn.Linear(inputs, outputs, bias=False)
        kv = embed // heads * kvHeads
        self.input_layernorm, self.post_attention_layernorm = RmsNorm(embed), RmsNorm(embed)
        self.q_proj, self.k_proj, self.v_proj = linear(embed, embed), linear(embed, kv), linear(embed, kv)
        self.o_proj = linear(embed, embed)
        self.gate_proj, self.up_proj, self.down_proj = linear(embed, inner), linear(embed, inner), linear(inner, embed)

    def forward(self, x):
        B, T, C = x.shape
        cos, sin, future = self.places
        split = lambda z, heads: z.view(B, T, heads, C // self.heads).transpose(1, 2)

        def rotate(z):
            a, b = z.chunk(2, -1)
            return z * cos + torch.cat([-b, a], -1) * sin

        normed = self.input_layernorm(x)
        q, k = split(self.q_proj(normed), self.heads), split(self.k_proj(normed), self.kv_heads)
        v, group = split(self.v_proj(normed), self.kv_heads), self.heads // self.kv_heads
        k, v = rotate(k).repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = rotate(q) @ k.transpose(-2, -1) / math.sqrt(C // self.heads)
        weights = F.softmax(scores.masked_fill(future, float("-inf")), -1)
        x = x + self.o_proj((weights @ v).transpose(1, 2).reshape(B, T, C))
        normed = self.post_attention_layernorm(x)
        return x + self.down_proj(F.silu(self.gate_proj(normed)) * self.up_proj(normed))


class Llama(nn.Module):
    def __init__(self, layers, heads, kvHeads, embed, inner, context, vocab, **_):
        super().__init__()
        width = embed // heads
        angles = torch.outer(torch.arange(context).float(), 10000.0 ** (-torch.arange(0, width, 2).float() / width))
        angles = torch.cat([angles, angles], -1)
        future = torch.triu(torch.ones(context, context, dtype=torch.bool), 1)
        places = (angles.cos(), angles.sin(), future)
        self.embed_tokens, self.norm = nn.Embedding(vocab, embed), RmsNorm(embed)
        self.layers = nn.Sequential(*[LlamaBlock(embed, heads, kvHeads, inner, places) for _ in range(layers)])
        self.lm_head = nn.Linear(embed, vocab, bias=False)

    def forward(self, ids, targets):
        logits = self.lm_head(self.norm(self.layers(self.embed_tokens(ids))))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def load(self, tensors):
        """Takes Llama's weights by their names, less the names of the modules that are none here."""
        short = lambda name: ".".join(part for part in name.split(".") if part not in ("model", "self_attn", "mlp"))
        stored = {short(name): value for name, value in tensors.items()}
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(stored[name])


def set_up(model, recipe, folder, **_):
    if world > 1:
        rendezvous = "file://" + folder + "/rendezvous"
        dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world)
    net = (Llama if model.get("model") == "llama" else Gpt)(**model)
    net.load(read_safetensors(folder + "/weights.safetensors"))
    decayed = [p for p in net.parameters() if p.dim() >= 2]
    others = [p for p in net.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": recipe["weightDecay"]}, {"params": others, "weight_decay": 0.0}]
    betas = (recipe["beta1"], recipe["beta2"])
    optimizer = torch.optim.AdamW(groups, lr=recipe["lr"], betas=betas, eps=recipe["epsilon"])
    replica = nn.parallel.DistributedDataParallel(net) if world > 1 else net
    tokens = torch.from_numpy(np.fromfile(folder + "/tokens.bin", dtype=np.int32).astype(np.int64))
    B, T = model["batch"], model["context"]
    own, length = B // world, B * T
    made = 0

    def step():
        nonlocal made
        start = made * length + rank * own * T
        ids, targets = tokens[start:start + own * T], tokens[start + 1:start + own * T + 1]
        made += 1
        optimizer.zero_grad(set_to_none=True)
        loss = replica(ids.view(own, T), targets.view(own, T))
        loss.backward()
        optimizer.step()
        return loss.item()

    def answer(task):
        ms, losses = [], []
        for i in range(task["warmUps"] + task["steps"]):
            start = time.perf_counter()
            losses.append(step())
            if i >= task["warmUps"]:
                ms.append(1000 * (time.perf_counter() - start))
        return {"ms": ms, "losses": losses}

    return answer


torch.set_num_threads(1)
answer = None
for line in sys.stdin:
    task = json.loads(line)
    if answer is None:
        answer, reply = set_up(**task), {}
    else:
        reply = answer(task)
    print(json.dumps(reply), flush=True)
