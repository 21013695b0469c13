"""Colour transfer, histogram matching, seamless cloning and finishing on two real faces of the sample clips, by OpenCV 4.6
and NumPy.

Each array is a file image_merge_NAME.bin: height, width, channels as int32, then float32 values. Without the clips
nothing is written, and the tests skip."""
import os
import sys

import cv2
import numpy as np

OUT = sys.argv[1]
DATA = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "likeness")
CLIPS = os.environ.get("LIKENESS_CLIPS") or os.path.join(DATA, "clips")
SIDE = 129


def save(name, array):
    array = np.asarray(array, np.float32)
    if array.ndim == 2:
        array = array[:, :, None]
    with open(f"{OUT}/image_merge_{name}.bin", "wb") as f:
        f.write(np.array(array.shape, np.int32).tobytes())
        f.write(np.ascontiguousarray(array).tobytes())


def face(clip, frame, x, y, side):
    """8-bit RGB [129, 129, 3]: a square of a frame around a face."""
    path = os.path.join(CLIPS, clip + ".mp4")
    if not os.path.exists(path):
        print(f"no {path}: run 'tools/setup.sh clips'")
        sys.exit(0)
    video = cv2.VideoCapture(path)
    for _ in range(frame + 1):
        _, picture = video.read()
    square = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)[y:y + side, x:x + side]
    return cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def moments(v, w):
    mean = (v * w[:, None]).sum(0) / w.sum()
    d = v - mean
    return mean, (d * w[:, None]).T @ d / w.sum() + np.eye(3) / 255**2


def root(s, power):
    values, vectors = np.linalg.eigh(s)
    return vectors @ np.diag(values**power) @ vectors.T


def linear(v, like, w, method):
    (m, a), (n, b) = moments(v, w), moments(like, w)
    if method == "mkl":
        t = root(a, -0.5) @ root(root(a, 0.5) @ b @ root(a, 0.5), 0.5) @ root(a, -0.5)
    else:
        t = root(b, 0.5) @ root(a, -0.5)
    return (v - m) @ t.T + n


def quantile(share, cumulative, edges):
    """The smallest value below which that share lies; linear within a bin."""
    j = np.searchsorted(cumulative, np.clip(share, 1e-9, cumulative[-1]))
    inside = (share - cumulative[j - 1]) / (cumulative[j] - cumulative[j - 1])
    return edges[j - 1] + inside * (edges[1] - edges[0])


def match(v, like, w, low, high):
    edges = np.linspace(low, high, 257)
    def cumulative(x):
        counts, _ = np.histogram(x, 256, (low, high), weights=w)
        return np.concatenate([[0], np.cumsum(counts) / counts.sum()])
    return quantile(np.interp(v, edges, cumulative(v)), cumulative(like), edges)


def rotation(i):
    u, v, w = (i * np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])) % 1
    q = np.array([np.sqrt(1 - u) * np.sin(2 * np.pi * v), np.sqrt(1 - u) * np.cos(2 * np.pi * v),
                  np.sqrt(u) * np.sin(2 * np.pi * w)])
    r = np.sqrt(u) * np.cos(2 * np.pi * w)
    cross = np.array([[0, -q[2], q[1]], [q[2], 0, -q[0]], [-q[1], q[0], 0]])
    return np.eye(3) + 2 * r * cross + 2 * cross @ cross


def idt(v, like, w):
    v = v.copy()
    for i in range(10):
        r = rotation(i + 1)
        a, b = v @ r.T, like @ r.T
        moved = np.zeros_like(a)
        for k in range(3):
            both = np.concatenate([a[w > 0, k], b[w > 0, k]])
            inside = np.clip(a[:, k], both.min(), both.max())
            moved[:, k] = match(inside, b[:, k], w, both.min(), both.max()) - inside
        v += moved @ r
    return v


def sot(v, like, w):
    v, inside = v.copy(), np.flatnonzero(w > 0.5)
    inside = inside[::-(-len(inside) // 4096)]
    for step in range(10):
        moved = np.zeros_like(v)
        for k in range(step * 5, step * 5 + 5):
            z = 1 - 2 * ((k + 0.5) * 0.7548776662466927 % 1)
            turn = 2 * np.pi * (k * 0.5698402909980532 % 1)
            d = np.array([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z])
            a, b = np.sort(v[inside] @ d), np.sort(like[inside] @ d)
            knots = np.linspace(a[0], a[-1], 1024)
            moves = np.interp(knots, a, b) - knots
            moved += np.interp(v @ d, knots, moves)[:, None] * d
        v += moved / 5
    return v


def histogram_match(image, like, mask):
    """8-bit values, by OpenCV's histograms."""
    out = np.empty(image.shape, np.float64)
    for c in range(image.shape[2]):
        def cumulative(x):
            h = cv2.calcHist([x], [c], mask, [256], [0, 256]).ravel().astype(float)
            return np.concatenate([[0], np.cumsum(h) / h.sum()])
        edges = np.arange(257) / 256
        share = np.interp(image[:, :, c] / 255, edges, cumulative(image))
        out[:, :, c] = quantile(share, cumulative(like), edges)
    return out


def clone(over, under, mask):
    """Seamless cloning on the whole square. OpenCV clears a border of one pixel and works on the mask's bounds: corners
    make these the square, and are eroded away, as are three pixels of the mask."""
    over, under = (cv2.copyMakeBorder(p, 1, 1, 1, 1, cv2.BORDER_REPLICATE) for p in (over, under))
    wide = mask.copy()
    wide[[0, 0, -1, -1], [0, -1, 0, -1]] = 255
    wide = cv2.copyMakeBorder(wide, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    middle = (SIDE // 2 + 1, SIDE // 2 + 1)
    return cv2.seamlessClone(over, under, wide, middle, cv2.NORMAL_CLONE)[1:-1, 1:-1]


def palette(image, count=256):
    """Median cut over a grid of 32³ cells."""
    pixels = image.reshape(-1, 3)
    cells = np.minimum((np.clip(pixels, 0, 1) * 32).astype(int), 31)
    boxes = [np.arange(len(pixels))]
    while len(boxes) < count:
        def size(b):
            return (np.ptp(cells[b], 0).max()) * len(b)
        best = max(range(len(boxes)), key=lambda i: (size(boxes[i]), -i))
        b = boxes[best]
        if size(b) == 0:
            break
        axis = int(np.argmax(np.ptp(cells[b], 0)))
        at = cells[b, axis]
        for plane in np.unique(at)[1:]:
            if 2 * (at < plane).sum() >= len(b) or plane == at.max():
                break
        boxes[best] = b[at < plane]
        boxes.append(b[at >= plane])
    out = np.empty_like(pixels)
    for b in boxes:
        out[b] = pixels[b].mean(0)
    return out.reshape(image.shape)


def main():
    like8 = face("cap12_edit", 300, 133, 110, 150)
    image8 = face("franck", 300, 98, 98, 180)
    image, like = image8 / 255, like8 / 255
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = np.hypot((x - 64) / 42, (y - 62) / 52)
    mask = (inside < 1).astype(np.uint8) * 255
    weights = np.clip((1 - inside) * 5, 0, 1)
    save("image", image)
    save("like", like)
    save("weights", weights)
    save("binary", mask / 255)
    for name, w in [("soft", weights), ("whole", np.ones_like(weights))]:
        v, t, w = image.reshape(-1, 3), like.reshape(-1, 3), w.ravel()
        for method in ["mkl", "pca"]:
            save(f"{method}_{name}", linear(v, t, w, method).reshape(image.shape))
        save(f"idt_{name}", idt(v, t, w).reshape(image.shape))
        save(f"sot_{name}", sot(v, t, w).reshape(image.shape))
    save("hist", histogram_match(image8, like8, mask))
    luma, luma_like = (p.astype(np.float64) @ [0.299, 0.587, 0.114] / 255 for p in (image8, like8))
    gain = match(luma.ravel(), luma_like.ravel(), mask.ravel() / 255.0, 0, 1).reshape(luma.shape) - luma
    save("hist_bw", image + gain[:, :, None])
    save("eroded", cv2.erode(mask, np.ones((3, 3)), iterations=3) / 255)
    save("clone", clone(image8, like8, mask) / 255)
    sigma = max(0.8, SIDE / 128)
    soft = cv2.GaussianBlur(image, (2 * int(np.ceil(3 * sigma)) + 1,) * 2, sigma)
    save("sharpen_gaussian", image + 0.7 * (image - soft))
    save("sharpen_box", image + 0.7 * (image - cv2.boxFilter(image, -1, (3, 3))))
    moments_ = [np.array([[1, 0, 9 * t], [0, 1, -6 * t]]) for t in np.linspace(-0.25, 0.25, 13)]
    save("motion", np.mean([cv2.warpAffine(image, m, (SIDE, SIDE), flags=cv2.INTER_CUBIC,
                                           borderMode=cv2.BORDER_REPLICATE) for m in moments_], 0))
    save("median", image + 0.6 * (cv2.medianBlur(image8, 5) / 255 - image))
    small = cv2.resize(image, (int(SIDE * (1 - 0.5 / 1.01)),) * 2, interpolation=cv2.INTER_CUBIC)
    save("bicubic", np.clip(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), 0, 1))
    save("palette", image + 0.5 * (palette(image.astype(np.float32)) - image))


main()
