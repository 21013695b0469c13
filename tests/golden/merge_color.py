"""Reinhard's colour transfer in Lab, by NumPy in float64. File merge_rct.bin: rows of float32 values
(image r g b, like r g b, weight, result r g b)."""
import sys

import numpy as np

TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
WHITE = np.array([0.950456, 1, 1.088754])


def to_lab(rgb):
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    t = linear @ TO_XYZ.T / WHITE
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    lightness = np.where(t[:, 1] > 0.008856, 116 * f[:, 1] - 16, 903.3 * t[:, 1])
    return np.stack([lightness, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], -1)


def to_rgb(lab):
    fy = np.where(lab[:, 0] <= 8, 7.787 * lab[:, 0] / 903.3 + 16 / 116, (lab[:, 0] + 16) / 116)
    f = np.stack([fy + lab[:, 1] / 500, fy, fy - lab[:, 2] / 200], -1)
    t = np.where(f > 0.206893, f**3, (f - 16 / 116) / 7.787)
    linear = np.clip(t * WHITE @ np.linalg.inv(TO_XYZ).T, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def main():
    rng = np.random.default_rng(11)
    n = 40 * 40
    image = np.clip(rng.normal([0.62, 0.45, 0.40], [0.12, 0.1, 0.09], (n, 3)), 0.02, 0.98).astype(np.float32)
    like = np.clip(rng.normal([0.45, 0.40, 0.42], [0.2, 0.13, 0.15], (n, 3)), 0.02, 0.98).astype(np.float32)
    weight = np.clip(rng.random(n) * 1.6 - 0.4, 0, 1).astype(np.float32)
    a, b, w = to_lab(image.astype(float)), to_lab(like.astype(float)), weight.astype(float)
    mean_a, mean_b = np.average(a, axis=0, weights=w), np.average(b, axis=0, weights=w)
    std_a = np.sqrt(np.average((a - mean_a) ** 2, axis=0, weights=w))
    std_b = np.sqrt(np.average((b - mean_b) ** 2, axis=0, weights=w))
    result = to_rgb((a - mean_a) * std_b / std_a + mean_b)
    np.concatenate([image, like, weight[:, None], result], 1).astype(np.float32).tofile(f"{sys.argv[1]}/merge_rct.bin")


main()
