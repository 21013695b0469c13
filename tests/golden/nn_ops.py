#!/usr/bin/env python3
"""Every operator, forward and backward, by PyTorch in float64 on random shapes.

Writes nn_ops.txt (cases) and nn_ops.bin (little-endian float32). Tensors are [N, C, H, W]. The loss of each case is the sum
of the output times a random tensor, so that the gradient of the output is random too.

A case is a line of numbers after the operator's name: how many integers, and they; how many floats, and they; how many
inputs, and of each its shape, its place in nn_ops.bin and its gradient's, or −1; the output's shape and place; the place
of the random tensor.
"""
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(7)
rng = np.random.default_rng(7)
out = Path(sys.argv[1])
blob = open(out / "nn_ops.bin", "wb")
cases = []
position = 0


def put(t):
    global position
    a = t.detach().numpy().astype("<f4")
    blob.write(a.tobytes())
    shape = list(a.shape)
    at = position
    position += a.size
    return [*shape, at]


def rand(*shape, scale=1.0):
    t = torch.randn(*shape, dtype=torch.float64) * scale
    return t.float().double()


def case(op, inputs, f, ints=(), floats=(), forward_only=False, constants=()):
    """inputs: tensors, in order; constants: indices of those that get no gradient."""
    for i, t in enumerate(inputs):
        t.requires_grad_(not forward_only and i not in constants)
    y = f(*inputs)
    r = rand(*y.shape)
    if not forward_only:
        (y * r).sum().backward()
    line = [op, len(ints), *ints, len(floats), *[float(v) for v in floats], len(inputs)]
    for t in inputs:
        line += put(t) + [-1 if t.grad is None else put(t.grad)[-1]]
    cases.append(" ".join(str(v) for v in line + put(y) + put(r)[-1:]))


def act(name, alpha):
    return {
        0: lambda x: x, 1: lambda x: F.leaky_relu(x, alpha), 2: F.relu, 3: F.relu6, 4: torch.sigmoid, 5: torch.tanh,
        6: F.silu, 7: F.hardswish
    }[name]


def same(x, kh, kw, stride, dilation=1):
    pads = []
    for size, k in ((x.shape[3], kw), (x.shape[2], kh)):
        total = max((-(-size // stride) - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def conv(n, c, h, w, o, kh, kw, stride=1, dilation=1, groups=1, activation=0, bias=True, pad=None):
    def f(x, wt, *b):
        x = same(x, kh, kw, stride, dilation) if pad is None else F.pad(x, pad)
        y = F.conv2d(x, wt, b[0].flatten() if b else None, stride, 0, dilation, groups)
        return act(activation, 0.1)(y)

    tensors = [rand(n, c, h, w), rand(o, c // groups, kh, kw, scale=0.3)] + ([rand(1, o, 1, 1)] if bias else [])
    case("conv", tensors, f, [stride, dilation, groups, int(pad is None), *(pad or [0, 0, 0, 0]), activation], [0.1])


conv(2, 3, 16, 16, 16, 5, 5, 2, activation=1)
conv(1, 16, 9, 7, 21, 3, 3, activation=1)
conv(3, 5, 1, 1, 7, 3, 3)
conv(2, 21, 8, 8, 63, 5, 5, 2, activation=1)
conv(2, 32, 6, 6, 3, 5, 5, activation=4)
conv(2, 13, 6, 5, 3, 5, 5, activation=5, bias=False)
conv(1, 8, 11, 11, 8, 5, 5, 2, groups=8)
conv(2, 12, 7, 9, 24, 3, 3, groups=4, activation=2)
conv(1, 4, 10, 10, 6, 3, 3, dilation=2, pad=[1, 2, 0, 3])
conv(1, 24, 5, 5, 40, 1, 1, activation=3)
# Channels enough for blocks of 32; widths of 16 and others, 16 samples, both parities, kernels smaller than the stride.
conv(2, 40, 5, 32, 72, 3, 3, activation=1)
conv(2, 33, 9, 11, 50, 5, 5, 2, activation=1)
conv(16, 48, 4, 4, 100, 3, 3)
conv(16, 70, 8, 8, 34, 5, 5, 2, bias=False)
conv(3, 64, 7, 6, 32, 1, 1, 2, activation=5)
conv(1, 20, 32, 32, 64, 5, 5, 2)
conv(2, 24, 10, 10, 40, 3, 3, pad=[0, 0, 0, 0])
conv(2, 48, 6, 6, 600, 3, 3)
conv(3, 40, 8, 8, 70, 3, 3, activation=1)
conv(1, 36, 6, 24, 33, 5, 5, bias=False)
conv(8, 40, 4, 4, 36, 5, 5, 2, activation=1)
conv(8, 33, 3, 6, 40, 3, 3)
conv(2, 40, 8, 16, 1, 5, 5, activation=4)
conv(2, 40, 13, 9, 70, 3, 3, activation=1)
conv(3, 96, 16, 16, 64, 3, 3, activation=4)
conv(2, 36, 12, 13, 260, 3, 3, bias=False)
conv(2, 300, 11, 12, 40, 3, 3, pad=[0, 0, 0, 0])
conv(1, 34, 91, 93, 36, 3, 3)
conv(3, 2, 12, 9, 40, 3, 3)

for n, c, h, w, o in ((2, 3, 4, 4, 5), (1, 17, 1, 1, 33), (8, 32, 2, 3, 64), (2, 32, 1, 1, 1600), (16, 50, 3, 3, 90), (35, 64, 1, 1, 40)):
    case("dense", [rand(n, c, h, w), rand(o, c * h * w, 1, 1, scale=0.2), rand(1, o, 1, 1)],
         lambda x, wt, b: (x.permute(0, 2, 3, 1).flatten(1) @ wt.flatten(1).T + b.flatten())[:, :, None, None], [0])

for kind in range(1, 6):
    case("activation", [rand(2, 5, 3, 7, scale=3)], act(kind, 0.1), [kind], [0.1])
for kind in (6, 7):
    case("activation", [rand(2, 5, 3, 7, scale=3)], act(kind, 0.1), [kind], [0.1], forward_only=True)


def depth_to_space(x, r=2):  # TensorFlow's channel order
    n, c, h, w = x.shape
    return x.view(n, r, r, c // (r * r), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (r * r), h * r, w * r)


case("depth_to_space", [rand(2, 20, 3, 5)], depth_to_space, [2])
case("depth_to_space", [rand(1, 64, 4, 4)], depth_to_space, [2])
case("reshape", [rand(2, 6, 4, 5)],
     lambda x: x.permute(0, 2, 3, 1).reshape(2, 2, 5, 12).permute(0, 3, 1, 2), [2, 12, 2, 5])
case("concat_channels", [rand(2, 3, 4, 5), rand(2, 7, 4, 5), rand(2, 1, 4, 5)], lambda *x: torch.cat(x, 1))
case("concat_batch", [rand(2, 3, 4, 5), rand(1, 3, 4, 5)], lambda *x: torch.cat(x, 0))
case("slice_channels", [rand(2, 9, 4, 5)], lambda x: x[:, 2:7], [2, 5])
case("slice_batch", [rand(5, 3, 4, 5)], lambda x: x[1:3], [1, 2])
for shape in ((2, 3, 4, 5), (2, 1, 4, 5), (1, 3, 1, 1), (1, 1, 1, 1), (2, 3, 1, 1)):
    case("add", [rand(2, 3, 4, 5), rand(*shape)], lambda a, b: a + b)
    case("sub", [rand(2, 3, 4, 5), rand(*shape)], lambda a, b: a - b)
    case("mul", [rand(2, 3, 4, 5), rand(*shape)], lambda a, b: a * b)
case("affine", [rand(2, 3, 4, 5)], lambda x: 2.5 * x - 1.25, [], [2.5, -1.25])
case("square", [rand(2, 3, 4, 5)], lambda x: x * x)
case("abs", [rand(2, 3, 4, 5)], torch.abs)
case("sqrt", [rand(2, 3, 4, 5).abs() + 0.1], torch.sqrt)
case("shared", [rand(2, 4, 6, 6), rand(4, 4, 3, 3, scale=0.3)],
     lambda x, w: F.conv2d(F.conv2d(x, w, padding=1), w, padding=1) + x)


def average(x, k, s):
    padded, ones = same(x, k, k, s), same(torch.ones_like(x), k, k, s)
    return F.avg_pool2d(padded, k, s) / F.avg_pool2d(ones, k, s)


case("avg_pool", [rand(2, 3, 8, 6)], lambda x: F.avg_pool2d(x, 2, 2), [2, 2, 2, 2, 0])
case("avg_pool", [rand(2, 3, 7, 5)], lambda x: average(x, 3, 2), [3, 3, 2, 2, 1])
case("max_pool", [rand(2, 3, 8, 6)], lambda x: F.max_pool2d(x, 2, 2), [2, 2, 2, 2, 0], forward_only=True)
case("prelu", [rand(2, 5, 3, 4), rand(1, 5, 1, 1)], lambda x, s: torch.where(x > 0, x, x * s), forward_only=True)
case("prelu", [rand(2, 5, 3, 4), rand(1, 5, 3, 4)], lambda x, s: torch.where(x > 0, x, x * s), forward_only=True)
case("pad", [rand(2, 5, 3, 4)], lambda x: F.pad(x, [1, 2, 3, 0, 0, 4]), [4, 3, 0, 1, 2], [0], forward_only=True)


def legacy_bilinear(x, h, w):  # neither aligned corners nor half-pixel centres
    def axis(x, dim, size):
        at = torch.arange(size, dtype=torch.float64) * (x.shape[dim] / size)
        low = at.floor().long()
        high = (low + 1).clamp(max=x.shape[dim] - 1)
        share = (at - low).view([-1 if d == dim else 1 for d in range(4)])
        return x.index_select(dim, low) * (1 - share) + x.index_select(dim, high) * share

    return axis(axis(x, 2, h), 3, w)


case("resize", [rand(2, 3, 5, 7)], lambda x: F.interpolate(x, (11, 9), mode="bilinear", align_corners=True), [11, 9, 1, 0])
case("resize", [rand(2, 3, 5, 7)], lambda x: F.interpolate(x, (10, 14), mode="bilinear", align_corners=False),
     [10, 14, 0, 1])
case("resize", [rand(1, 3, 6, 8)], lambda x: legacy_bilinear(x, 9, 16), [9, 16, 0, 0])


def taps(sigma, radius):
    g = torch.exp(-torch.arange(-radius, radius + 1, dtype=torch.float64)**2 / (2 * sigma * sigma))
    return g / g.sum()


def gaussian(x, sigma, radius, pad):
    g, c = taps(sigma, radius), x.shape[1]
    x = F.conv2d(x, g.view(1, 1, 1, -1).repeat(c, 1, 1, 1), padding=(0, pad), groups=c)
    return F.conv2d(x, g.view(1, 1, -1, 1).repeat(c, 1, 1, 1), padding=(pad, 0), groups=c)


case("gaussian", [rand(2, 3, 14, 13)], lambda x: gaussian(x, 1.5, 5, 0), [5, 0], [1.5])
case("gaussian", [rand(2, 2, 9, 6)], lambda x: gaussian(x, 2.0, 3, 3), [3, 1], [2.0])


def dssim(x, t, m, span):
    x, t = (x * m, t * m) if m is not None else (x, t)
    blur = lambda v: gaussian(v, 1.5, 5, 0)
    c1, c2 = (0.01 * span)**2, (0.03 * span)**2
    mx, mt = blur(x), blur(t)
    vx, vt, vxt = blur(x * x) - mx * mx, blur(t * t) - mt * mt, blur(x * t) - mx * mt
    s = (2 * mx * mt + c1) * (2 * vxt + c2) / ((mx * mx + mt * mt + c1) * (vx + vt + c2))
    return ((1 - s.mean((1, 2, 3))) / 2)[:, None, None, None]


def picture(n, c, h, w):
    return torch.from_numpy(rng.random((n, c, h, w)).astype("f4")).double()


mask = (torch.rand(2, 1, 20, 17) > 0.4).double()
case("dssim", [picture(2, 3, 16, 16), picture(2, 3, 16, 16)], lambda x, t: dssim(x, t, None, 1.0), [], [1.0],
     constants=[1])
case("dssim", [picture(2, 3, 20, 17), picture(2, 3, 20, 17), mask], lambda x, t, m: dssim(x, t, m, 2.0), [], [2.0],
     constants=[1, 2])
mean = lambda d: d.mean((1, 2, 3))[:, None, None, None]
case("mse", [rand(2, 3, 6, 5), rand(2, 3, 6, 5)], lambda x, t: mean((x - t)**2), constants=[1])
case("mse", [rand(2, 3, 20, 17), rand(2, 3, 20, 17), mask.clone()], lambda x, t, m: mean(((x - t) * m)**2), constants=[1, 2])
case("mae", [rand(2, 3, 6, 5), rand(2, 3, 6, 5)], lambda x, t: mean((x - t).abs()), constants=[1])
case("mae", [rand(2, 3, 20, 17), rand(2, 3, 20, 17), mask.clone()], lambda x, t, m: mean(((x - t) * m).abs()), constants=[1, 2])


def transposed(x, w, b):
    y = F.conv_transpose2d(x, w, b.flatten(), stride=2)
    total = max((x.shape[2] - 1) * 2 + w.shape[2] - 2 * x.shape[2], 0)
    return y[:, :, total // 2:total // 2 + 2 * x.shape[2], total // 2:total // 2 + 2 * x.shape[3]]


case("conv_transposed", [rand(1, 6, 5, 4), rand(6, 8, 2, 2), rand(1, 8, 1, 1)], transposed, [2], forward_only=True)
case("conv_transposed", [rand(1, 8, 5, 4), rand(8, 8, 3, 3), rand(1, 8, 1, 1)], transposed, [2], forward_only=True)

blob.close()
(out / "nn_ops.txt").write_text("\n".join(cases) + "\n")
