"""Samples of training as an independent program makes them: the random numbers, the transforms and the warp in NumPy,
from the same JPEG. Usage: train_sample.py FOLDER"""
import os
import sys

import cv2
import numpy as np

MASK64 = (1 << 64) - 1
SEED, ITERATION, BATCH, SRC_SCALE = 7, 3, 3, 10.0

MEAN_X = """0.000213256 0.0752622 0.18113 0.29077 0.393397 0.586856 0.689483 0.799124 0.904991 0.98004 0.490127 0.490127
0.490127 0.490127 0.36688 0.426036 0.490127 0.554217 0.613373 0.121737 0.187122 0.265825 0.334606 0.260918 0.182743
0.645647 0.714428 0.793132 0.858516 0.79751 0.719335 0.254149 0.340985 0.428858 0.490127 0.551395 0.639268 0.726104
0.642159 0.556721 0.490127 0.423532 0.338094 0.290379 0.428096 0.490127 0.552157 0.689874 0.553364 0.490127 0.42689"""
MEAN_Y = """0.106454 0.038915 0.0187482 0.0344891 0.0773906 0.0773906 0.0344891 0.0187482 0.038915 0.106454 0.203352
0.307009 0.409805 0.515625 0.587326 0.609345 0.628106 0.609345 0.587326 0.216423 0.178758 0.179852 0.231733 0.245099
0.244077 0.231733 0.179852 0.178758 0.216423 0.244077 0.245099 0.780233 0.745405 0.727388 0.742578 0.727388 0.745405
0.780233 0.864805 0.902192 0.909281 0.902192 0.864805 0.784792 0.778746 0.785343 0.778746 0.784792 0.824182 0.831803
0.824182"""
MEAN = np.array([MEAN_X.split(), MEAN_Y.split()], float).T
PAD = {"half": 0.0, "full": 12 / 64, "head": 24 / 64}
HULLS = [list(range(17)) + list(range(48, 68)), [27, 28, 29, 30, 33], list(range(17, 27)) + [0, 27, 16, 33]]
PAIRS = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + [
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (31, 35), (32, 34), (48, 54), (49, 53), (50, 52),
    (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)]


class Rng:
    """xoshiro256++, its state filled by SplitMix64 from the seed and the stream."""

    def __init__(self, seed, stream):
        def splitmix(state):
            state = (state + 0x9E3779B97F4A7C15) & MASK64
            z = state
            z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK64
            z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK64
            return state, z ^ z >> 31

        a = splitmix(seed)[1]
        b = splitmix(stream ^ 0x6A09E667F3BCC909)[1]
        state = a ^ self.rotate(b, 32)
        self.s = []
        for _ in range(4):
            state, z = splitmix(state)
            self.s.append(z)

    @staticmethod
    def rotate(x, k):
        return (x << k | x >> (64 - k)) & MASK64

    def u64(self):
        s = self.s
        result = (self.rotate((s[0] + s[3]) & MASK64, 23) + s[0]) & MASK64
        t = (s[1] << 17) & MASK64
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = self.rotate(s[3], 45)
        return result

    def below(self, n):
        product = (self.u64() >> 32) * n
        while product & 0xFFFFFFFF < (1 << 32) % n:
            product = (self.u64() >> 32) * n
        return product >> 32

    def uniform(self, lo, hi):
        return lo + (hi - lo) * ((self.u64() >> 11) * 2.0**-53)

    def normal(self):
        u = 1 - self.uniform(0, 1)
        v = self.uniform(0, 1)
        return np.sqrt(-2 * np.log(u)) * np.cos(2 * np.pi * v)


def align(points, face_type, size):
    """Umeyama's similarity from points 17-67 to the mean face, by SVD."""
    src, dst = points[17:].astype(float), MEAN
    ms, md = src.mean(0), dst.mean(0)
    cov = (dst - md).T @ (src - ms) / len(src)
    u, d, vt = np.linalg.svd(cov)
    s = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(s) @ vt
    scale = (d * s).sum() / ((src - ms)**2).sum(1).mean()
    side, pad = size * (1 - 2 * PAD[face_type]), size * PAD[face_type]
    m = np.eye(3)
    m[:2, :2] = scale * rotation * side
    m[:2, 2] = (md - scale * rotation @ ms) * side + pad
    return m


def mirrored(points, width):
    p = points.copy()
    for a, b in PAIRS:
        p[[a, b]] = p[[b, a]]
    p[:, 0] = width - 1 - p[:, 0]
    return p


def cubic(t):
    def w(x):
        x = abs(x)
        return np.where(x <= 1, (1.25 * x - 2.25) * x * x + 1, np.where(x < 2, ((-0.75 * x + 3.75) * x - 6) * x + 3, 0))
    return [w(t + 1), w(t), w(t - 1), w(t - 2)]


def sample(image, x, y):
    """Keys's bicubic, a = -0.75, borders replicated."""
    ix, iy = np.floor(x).astype(int), np.floor(y).astype(int)
    wx, wy = cubic(x - ix), cubic(y - iy)
    out = 0
    for r in range(4):
        for c in range(4):
            rows = np.clip(iy + r - 1, 0, image.shape[0] - 1)
            columns = np.clip(ix + c - 1, 0, image.shape[1] - 1)
            out = out + (wy[r] * wx[c])[..., None] * image[rows, columns]
    return np.clip(out, 0, 1)


def catmull_rom(t):
    return [((-0.5 * t + 1) * t - 0.5) * t, (1.5 * t - 2.5) * t * t + 1, ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t]


def inside(points, size):
    """Which pixels of size x size have their centres in the union of the hulls."""
    y, x = np.mgrid[0:size, 0:size].astype(float)
    union = np.zeros((size, size), bool)
    for hull in HULLS:
        h = cv2.convexHull(points[hull].astype(np.float32))[:, 0].astype(float)
        area = np.dot(h[:, 0], np.roll(h[:, 1], -1)) - np.dot(h[:, 1], np.roll(h[:, 0], -1))
        if area < 0:
            h = h[::-1]
        part = np.ones((size, size), bool)
        for p, q in zip(h, np.roll(h, -1, 0)):
            part &= (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) >= 0
        union |= part
    return union


def make(jpeg, points, size, face_type, resolution, rng, extra_scale):
    image = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.float64)
    to_model = align(points, face_type, resolution)
    flip = np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1.0]])
    to_mirrored = align(mirrored(points, size), face_type, resolution) @ flip
    side = size
    density = 1 / np.hypot(to_model[0, 0], to_model[1, 0])
    if density > 1.5:
        side = int(np.ceil(size * 1.25 / density))
        image = np.rint(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
        k = side / size
        forth = np.array([[k, 0, 0.5 * k - 0.5], [0, k, 0.5 * k - 0.5], [0, 0, 1]])
        to_model, to_mirrored = to_model @ np.linalg.inv(forth), to_mirrored @ np.linalg.inv(forth)
        points = (np.c_[points, np.ones(68)] @ forth.T)[:, :2]
    image /= 255
    angle = np.radians(rng.uniform(-10, 10))
    scale = 1 + extra_scale + rng.uniform(-0.05, 0.05)
    shift = [rng.uniform(-0.05, 0.05) * side, rng.uniform(-0.05, 0.05) * side]
    mirror = rng.uniform(0, 1) < 0.4
    turn = np.eye(3)
    turn[:2] = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), np.degrees(angle), scale)
    turn[:2, 2] += shift
    forward = (to_mirrored if mirror else to_model) @ turn
    cells = 2 << rng.below(3)
    cell = side / cells
    nodes = np.zeros((cells + 3, cells + 3, 2))
    for y in range(1, cells):
        for x in range(1, cells):
            for k in range(2):
                nodes[y + 1, x + 1, k] = np.clip(0.24 * rng.normal(), -1, 1) * cell
    y, x = np.mgrid[0:resolution, 0:resolution]
    back = np.linalg.inv(forward)
    u = back[0, 0] * x + back[0, 1] * y + back[0, 2]
    v = back[1, 0] * x + back[1, 1] * y + back[1, 2]
    gx, gy = np.clip((u + 0.5) / cell, 0, cells - 1e-3), np.clip((v + 0.5) / cell, 0, cells - 1e-3)
    ix, iy = gx.astype(int), gy.astype(int)
    wx, wy = catmull_rom(gx - ix), catmull_rom(gy - iy)
    moved = sum((wy[r] * wx[c])[..., None] * nodes[iy + r, ix + c] for r in range(4) for c in range(4))
    placed = (np.c_[points, np.ones(68)] @ forward.T)[:, :2]
    fine = inside(2 * placed + 0.5, 2 * resolution).astype(float)
    mask = fine.reshape(resolution, 2, resolution, 2).mean((1, 3))
    return sample(image, u + moved[..., 0], v + moved[..., 1]), sample(image, u, v), mask


def transfer_colors(rgb, face, like):
    """Mean and deviation in Lab of face `like`; the two faces' figures are those of the test."""
    def figures(i):
        return np.array([45 + 10 * i, 12 - 6 * i, 9]), np.array([9 + 3 * i, 4, 5 + 7 * i])

    (m, s), (m2, s2) = figures(face), figures(like)
    lab = cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2Lab)
    lab = (lab - m) * np.clip(s2 / s, 0.5, 2) + m2
    return np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB), 0, 1)


def main(folder):
    random = np.random.default_rng(1)
    for case, (size, face_type, resolution) in enumerate([(256, "half", 64), (88, "full", 64), (88, "full", 64)]):
        base = np.c_[np.r_[0.49 - 0.55 * np.cos(np.linspace(0, np.pi, 17)), MEAN[:, 0]],
                     np.r_[0.25 + 0.85 * np.sin(np.linspace(0, np.pi, 17)), MEAN[:, 1]]]
        all_samples = []
        for face in range(2):
            points = base * size * 0.6 + size * 0.2 + random.normal(0, size * 0.006, (68, 2))
            points = points.astype(np.float32)
            noise = cv2.GaussianBlur(random.normal(128, 700, (size, size, 3)), (0, 0), size / 40)
            jpeg = cv2.imencode(".jpg", np.clip(noise, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
            name = os.path.join(folder, f"train_sample_{case}_{face}")
            jpeg.tofile(name + ".jpg")
            points.tofile(name + ".points")
            for i in range(2 * BATCH):
                rng = Rng(SEED, 1 << 60 | ITERATION << 12 | i)
                extra = SRC_SCALE / 100 if i < BATCH else 0
                like = rng.below(2) if case == 2 and i < BATCH else face
                warped, target, mask = make(jpeg, points.astype(float), size, face_type, resolution, rng, extra)
                if case == 2 and i < BATCH:
                    warped, target = (transfer_colors(p, face, like) for p in (warped, target))
                all_samples.append((warped, target, mask))
        with open(os.path.join(folder, f"train_sample_{case}.f32"), "wb") as f:
            for warped, target, mask in all_samples:
                for part in (warped, target, mask):
                    part.astype(np.float32).tofile(f)


main(sys.argv[1])
