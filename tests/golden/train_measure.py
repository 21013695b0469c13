#!/usr/bin/env python3
"""Masked PSNR, SSIM, difference and IoU in NumPy and SciPy-free convolution, on random pictures.

Writes train_measure.bin: float32 pictures a, b [R, R, 3] and masks m, n [R, R], then the four figures.
"""
import sys
from pathlib import Path

import numpy as np

R = 40
rng = np.random.default_rng(5)
y, x = np.mgrid[0:R, 0:R] / R
a = np.clip(0.5 + 0.4 * np.sin(7 * x + 3 * y)[..., None] * np.array([1, 0.7, 0.4]) + 0.05 * rng.standard_normal((R, R, 3)), 0, 1)
b = np.clip(a + 0.1 * np.cos(9 * y)[..., None] + 0.04 * rng.standard_normal((R, R, 3)), 0, 1)
m = np.clip(1.4 - 2.5 * np.hypot(x - 0.5, y - 0.5), 0, 1)
n = np.clip(1.2 - 2.5 * np.hypot(x - 0.45, y - 0.55), 0, 1)
a, b, m, n = (v.astype(np.float32).astype(np.float64) for v in (a, b, m, n))

taps = np.exp(-np.arange(-5, 6)**2 / (2 * 1.5**2))
taps /= taps.sum()


def blur(v):
    for axis in (0, 1):
        pad = [(5, 5) if k == axis else (0, 0) for k in range(3)]
        p = np.pad(v, pad, mode="reflect")
        v = sum(t * np.take(p, np.arange(i, i + R), axis) for i, t in enumerate(taps))
    return v


ma, mb = blur(a), blur(b)
va, vb, vab = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
s = (2 * ma * mb + 1e-4) * (2 * vab + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
w = np.repeat(m[..., None], 3, 2)
figures = [10 * np.log10(w.sum() / (w * (a - b)**2).sum()), (w * s).sum() / w.sum(), (w * abs(a - b)).sum() / w.sum(),
           ((m >= 0.5) & (n >= 0.5)).sum() / ((m >= 0.5) | (n >= 0.5)).sum()]
np.concatenate([v.ravel() for v in (a, b, m, n)] + [figures]).astype("<f4").tofile(Path(sys.argv[1]) / "train_measure.bin")
