#!/usr/bin/env python3
"""Steps of Adam with factored second moments, as Shazeer and Stern ("Adafactor", 2018, section 3) write them, on blocks of
32×32 weights; beta1 is 0. NumPy and PyTorch in float64.

The loss is the sum of a layer's output times a random tensor, so gradients do not depend on the weights, and all factors
are numbers of bfloat16, so no rounding stands between. Writes nn_factored.bin, little-endian float32: of each layer the
weights; of each step the input and the random tensor, channels last; the weights and second moments after the last step."""
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

RATE, BETA2, EPSILON, STEPS, BATCH, SIDE = 1e-3, 0.9, 1e-8, 5, 8, 6
rng = np.random.default_rng(11)
blob = open(Path(sys.argv[1]) / "nn_factored.bin", "wb")


def put(a):
    blob.write(np.ascontiguousarray(a, dtype="<f4").tobytes())


def rand(*shape):
    """Channels differ widely, so that rows and columns of a gradient do."""
    scale = np.exp(rng.normal(size=(1, shape[1], 1, 1)))
    return torch.tensor(rng.normal(size=shape) * scale).bfloat16().double()


def gradient_of(w, x, t):
    w = torch.tensor(w, requires_grad=True)
    (F.conv2d(x, w, padding=w.shape[2] // 2) * t).sum().backward()
    return w.grad.numpy()


def matrices(w):
    """The places of w's numbers, [outputs][inputs] of each tap; of a side with few channels all taps are put together."""
    outputs, inputs, height, width = w.shape
    at = np.arange(w.size).reshape(outputs, inputs, height * width)
    if inputs < 8:
        return [at.transpose(0, 2, 1).reshape(outputs, -1)]
    if outputs < 8:
        return [at.transpose(2, 0, 1)[::-1].reshape(-1, inputs)]
    return list(at.transpose(2, 0, 1))


def layer(outputs, inputs, kernel, side):
    w = rng.normal(size=(outputs, inputs, kernel, kernel)) * 0.1
    w = w.astype("f4").astype("f8")
    put(w)
    v = np.zeros_like(w)
    blocks = [m[o:o + 32, c:c + 32] for m in matrices(w) for o in range(0, m.shape[0], 32) for c in range(0, m.shape[1], 32)]
    rows, columns = [0] * len(blocks), [0] * len(blocks)
    for step in range(1, STEPS + 1):
        x, t = rand(BATCH, inputs, side, side), rand(BATCH, outputs, side, side)
        put(x.permute(0, 2, 3, 1))
        put(t.permute(0, 2, 3, 1))
        g = gradient_of(w, x, t)
        for i, at in enumerate(blocks):
            square = g.flat[at]**2
            rows[i] = BETA2 * rows[i] + (1 - BETA2) * square.sum(axis=1)
            columns[i] = BETA2 * columns[i] + (1 - BETA2) * square.sum(axis=0)
            v.flat[at] = np.outer(rows[i], columns[i]) / rows[i].sum()
        w -= RATE * np.sqrt(1 - BETA2**step) * g / (np.sqrt(v) + EPSILON)
    put(w)
    put(v)


layer(45, 70, 1, 1)
layer(36, 40, 3, SIDE)
layer(40, 3, 5, SIDE)
layer(3, 40, 5, SIDE)
