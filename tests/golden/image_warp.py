"""Warps and resizes: a float64 sampler in NumPy, and OpenCV 4.6, on textured pictures.

Each array is a file image_NAME.bin: height, width, channels as int32, then float32 values."""
import sys

import cv2
import numpy as np

OUT = sys.argv[1]
FILTERS = {"nearest": (1, cv2.INTER_NEAREST), "bilinear": (2, cv2.INTER_LINEAR), "bicubic": (4, cv2.INTER_CUBIC)}
BORDERS = {"constant": cv2.BORDER_CONSTANT, "replicate": cv2.BORDER_REPLICATE, "reflect": cv2.BORDER_REFLECT_101}


def save(name, array):
    array = np.asarray(array, np.float32)
    if array.ndim == 2:
        array = array[:, :, None]
    with open(f"{OUT}/image_{name}.bin", "wb") as f:
        f.write(np.array(array.shape, np.int32).tobytes())
        f.write(np.ascontiguousarray(array).tobytes())


def texture(h, w, c, seed):
    """Smooth waves and a little noise, in 0–1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    planes = []
    for k in range(c):
        a = rng.uniform(0.05, 0.35, 4)
        planes.append(0.5 + 0.22 * np.sin(a[0] * x + a[1] * y + k) + 0.22 * np.cos(a[2] * x - a[3] * y))
    picture = np.stack(planes, -1) + rng.normal(0, 0.01, (h, w, c))
    return np.clip(picture, 0, 1).astype(np.float32)


def tap_weights(t, taps):
    if taps == 1:
        return [np.ones_like(t)]
    if taps == 2:
        return [1 - t, t]
    a = -0.75
    near = lambda d: (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = lambda d: a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return [far(1 + t), near(t), near(1 - t), far(2 - t)]


def index(i, n, border):
    inside = (i >= 0) & (i < n)
    if border == "reflect":
        period = 2 * (n - 1)
        i = np.abs(i) % period
        i = np.where(i < n, i, period - i)
        inside = np.ones_like(inside)
    elif border == "replicate":
        inside = np.ones_like(inside)
    return np.clip(i, 0, n - 1), inside


def sample(src, x, y, filter, border):
    """src at (x, y), everything in float64."""
    taps = FILTERS[filter][0]
    if taps == 1:
        x, y = x + 0.5, y + 0.5
    x0, y0 = np.floor(x), np.floor(y)
    wx, wy = tap_weights(x - x0, taps), tap_weights(y - y0, taps)
    first = -1 if taps == 4 else 0
    src = src.astype(np.float64)
    out = np.zeros(x.shape + (src.shape[2],))
    for j in range(taps):
        yi, y_in = index(y0.astype(int) + first + j, src.shape[0], border)
        for i in range(taps):
            xi, x_in = index(x0.astype(int) + first + i, src.shape[1], border)
            out += (wx[i] * wy[j] * (x_in & y_in))[:, :, None] * src[yi, xi]
    return out


def main():
    w, h = 57, 49
    angle, scale = 0.35, 1.13
    m = np.array([[scale * np.cos(angle), -scale * np.sin(angle), 9.3], [scale * np.sin(angle), scale * np.cos(angle), -7.6]])
    inverse = np.linalg.inv(np.vstack([m, [0, 0, 1]]))
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    ax = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
    ay = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
    save("warp_matrix", m)
    grid = np.stack([x + 4 * np.sin(y / 9) - 1.37, y * 1.1 + 3 * np.cos(x / 7) - 2.21], -1).astype(np.float32)
    save("warp_map", grid)
    for c in (1, 3, 4):
        src = texture(53, 61, c, c)
        save(f"warp_src{c}", src)
        for f in FILTERS:
            for b in BORDERS:
                save(f"affine_{f}_{b}_{c}", sample(src, ax, ay, f, b))
                save(f"remap_{f}_{b}_{c}", sample(src, grid[..., 0].astype(float), grid[..., 1].astype(float), f, b))
                save(f"cvaffine_{f}_{b}_{c}",
                     cv2.warpAffine(src, m, (w, h), flags=FILTERS[f][1], borderMode=BORDERS[b]))
    for c in (1, 2, 3, 4):
        src = texture(45, 67, c, 10 + c)
        save(f"resize_src{c}", src)
        for name, flag in {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC,
                           "lanczos": cv2.INTER_LANCZOS4, "area": cv2.INTER_AREA}.items():
            save(f"resize_{name}_down_{c}", cv2.resize(src, (31, 13), interpolation=flag))
            up = cv2.INTER_LINEAR if name == "area" else flag
            save(f"resize_{name}_up_{c}", cv2.resize(src, (150, 97), interpolation=up))


main()
