#!/usr/bin/env python3
"""Training steps of the models on a GPU in PyTorch, as an expert would write them: bfloat16 autocast, channels last,
torch.compile, a fused Adam, and the whole step (forward, backward, update) as one CUDA graph. One line of numbers:
milliseconds per step, steps per second, MiB of the device's memory in use.

    python3 bench/torch_gpu.py MODEL BATCH [--eager]      MODEL as in torch_steps.py: h64, sae-128-512-42, saeliae-256-512-64
    python3 bench/torch_gpu.py peak                       the measured bfloat16 matrix peak, TFLOP/s
"""
import argparse
import time

import torch
from torch.nn import functional as F

from torch_steps import Dssim, Model, model_name

torch.backends.cudnn.benchmark = True
torch.set_float32_matmul_precision("high")


def peak(n=8192, rounds=20):
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(rounds):
        a @ b
    torch.cuda.synchronize()
    return 2 * n**3 * rounds / (time.perf_counter() - start) / 1e12


def measure(name, batch, compiled):
    torch.manual_seed(1)
    model = Model(name).cuda().to(memory_format=torch.channels_last)
    r = model.resolution
    warped, target = (torch.rand(2 * batch, 3, r, r, device="cuda").contiguous(memory_format=torch.channels_last)
                      for _ in range(2))
    mask = torch.rand(2 * batch, 1, r, r, device="cuda")
    dssim = Dssim(2 if model.sae else 1).cuda()
    adam = torch.optim.Adam(model.parameters(), lr=5e-5, betas=(0.5, 0.999), fused=True, capturable=True)

    def loss_of(warped, target, mask):
        with torch.autocast("cuda", dtype=torch.bfloat16):
            image, prediction = model(warped)
        image, prediction = image.float(), prediction.float()
        d = dssim(image * mask, target * mask)
        return (100 * d * d).mean() + F.mse_loss(prediction, mask) if model.sae else \
            (10 * d).mean() + F.l1_loss(prediction, mask)

    run = torch.compile(loss_of, mode="max-autotune-no-cudagraphs" if compiled == "max" else "default") if compiled \
        else loss_of

    def step():
        loss = run(warped, target, mask)
        loss.backward()
        adam.step()
        return loss

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(5):
            adam.zero_grad(set_to_none=True)
            step()
    torch.cuda.current_stream().wait_stream(side)
    adam.zero_grad(set_to_none=True)  # the recorded step then writes gradients instead of adding to them
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    best = None
    for _ in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(50):
            warped[0, 0, 0, 0].fill_(0.5)
            graph.replay()
        loss.item()
        each = (time.perf_counter() - start) / 50
        best = each if best is None else min(best, each)
    free, total = torch.cuda.mem_get_info()
    print(f"{1e3 * best:.3f} ms/step  {1 / best:.2f} steps/s  {(total - free) / 2**20:.0f} MiB"
          f"  ({torch.cuda.max_memory_allocated() / 2**20:.0f} MiB in tensors)")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model", type=lambda name: name if name == "peak" else model_name(name))
    p.add_argument("batch", type=int, nargs="?", default=8)
    p.add_argument("--eager", action="store_true")
    p.add_argument("--max-autotune", action="store_true")
    a = p.parse_args()
    if a.model == "peak":
        print(f"{peak():.0f}")
    else:
        measure(a.model, a.batch, None if a.eager else "max" if a.max_autotune else "default")


main()
