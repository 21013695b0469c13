"""Alignment (Umeyama by SVD), hull masks (cv2.fillConvexPoly), mirrored landmarks, on made-up faces.

face_geometry.bin: CASES times { float32 points[68][2], int32 type, int32 size, float64 scale, float64 matrix[2][3],
float32 mirrored[68][2] (in a picture of 640), uint8 mask[size][size] of the points in the crop }."""
import sys

import cv2
import numpy as np

OUT = sys.argv[1]
CASES = 24
MEAN = np.array([float(v) for v in """
0.000213256 0.0752622 0.18113 0.29077 0.393397 0.586856 0.689483 0.799124 0.904991 0.98004
0.490127 0.490127 0.490127 0.490127 0.36688 0.426036 0.490127 0.554217 0.613373
0.121737 0.187122 0.265825 0.334606 0.260918 0.182743 0.645647 0.714428 0.793132 0.858516 0.79751 0.719335
0.254149 0.340985 0.428858 0.490127 0.551395 0.639268 0.726104 0.642159 0.556721 0.490127 0.423532 0.338094
0.290379 0.428096 0.490127 0.552157 0.689874 0.553364 0.490127 0.42689
0.106454 0.038915 0.0187482 0.0344891 0.0773906 0.0773906 0.0344891 0.0187482 0.038915 0.106454
0.203352 0.307009 0.409805 0.515625 0.587326 0.609345 0.628106 0.609345 0.587326
0.216423 0.178758 0.179852 0.231733 0.245099 0.244077 0.231733 0.179852 0.178758 0.216423 0.244077 0.245099
0.780233 0.745405 0.727388 0.742578 0.727388 0.745405 0.780233 0.864805 0.902192 0.909281 0.902192 0.864805
0.784792 0.778746 0.785343 0.778746 0.784792 0.824182 0.831803 0.824182""".split()]).reshape(2, 51).T
PAIRS = [(0, 16), (1, 15), (2, 14), (3, 13), (4, 12), (5, 11), (6, 10), (7, 9), (17, 26), (18, 25), (19, 24),
         (20, 23), (21, 22), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (31, 35), (32, 34), (48, 54),
         (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65)]
PARTS = [list(range(17)) + list(range(48, 68)), [27, 28, 29, 30, 33], list(range(17, 27)) + [0, 27, 16, 33]]


def umeyama(src, dst):
    """Umeyama 1991, equations 38 to 43."""
    sm, dm = src.mean(0), dst.mean(0)
    a = (dst - dm).T @ (src - sm) / len(src)
    u, d, vt = np.linalg.svd(a)
    sign = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    r = u @ np.diag(sign) @ vt
    c = (d * sign).sum() / ((src - sm) ** 2).sum(1).mean()
    return np.hstack([c * r, (dm - c * r @ sm)[:, None]])


def face(rng):
    """The mean face with a jaw, shaken, turned, and put somewhere."""
    angle = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 + 0.55 * np.cos(angle), 0.3 + 0.9 * np.sin(angle)], -1)
    p = np.vstack([jaw, MEAN]) + rng.normal(0, 0.02, (68, 2))
    t, s = rng.uniform(-np.pi, np.pi), rng.uniform(20, 300)
    r = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    return (p @ r.T * s + rng.uniform(100, 500, 2)).astype(np.float32)


rng = np.random.default_rng(7)
with open(f"{OUT}/face_geometry.bin", "wb") as f:
    for case in range(CASES):
        p = face(rng)
        kind, size = case % 3, [64, 128, 256, 333][case % 4]
        scale = 1.0 if case < 8 else rng.uniform(0.5, 1.5)
        pad = size * [0, 12 / 64, 24 / 64][kind]
        m = umeyama(p[17:].astype(np.float64), MEAN) * (size - 2 * pad)
        m[:, 2] += pad
        m = m / scale
        m[:, 2] += size * (1 - 1 / scale) / 2
        mirrored = p.copy()
        for a, b in PAIRS:
            mirrored[[a, b]] = mirrored[[b, a]]
        mirrored[:, 0] = 639 - mirrored[:, 0]
        crop = p.astype(np.float64) @ m[:, :2].T + m[:, 2]
        mask = np.zeros((3 * size, 3 * size), np.uint8)  # OpenCV clips outlines at the border inexactly
        for part in PARTS:
            hull = cv2.convexHull((crop[part] + size).astype(np.float32))
            cv2.fillConvexPoly(mask, np.round(hull * 256).astype(np.int32), 1, lineType=cv2.LINE_8, shift=8)
        f.write(p.tobytes() + np.array([kind, size], np.int32).tobytes() + np.array(scale).tobytes())
        f.write(m.tobytes() + mirrored.astype(np.float32).tobytes())
        f.write(np.ascontiguousarray(mask[size:-size, size:-size]).tobytes())
        mask[:] = 0
        for a, b, share in ((36, 39, 0.75), (42, 45, 0.75), (48, 54, 0.6)):
            middle, radius = (crop[a] + crop[b]) / 2 + size, share * np.hypot(*(crop[a] - crop[b]))
            cv2.circle(mask, np.round(middle * 256).astype(int).tolist(), int(round(radius * 256)), 1, -1, cv2.LINE_8, 8)
        f.write(np.ascontiguousarray(mask[size:-size, size:-size]).tobytes())
