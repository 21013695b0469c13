"""Poses of turned heads: rotations made by cv2.Rodrigues, found again by Kabsch's method with NumPy's SVD.

The neutral face is read from src/face/pose.c. face_pose.bin: CASES times { float32 x[478], y[478], z[478],
float32 yaw, pitch, roll in degrees }; the first half are exact rotations, the others are noisy too."""
import os
import re
import sys

import cv2
import numpy as np

CASES = 40
source = open(os.path.join(os.path.dirname(__file__), "../../src/face/pose.c")).read()
table = re.findall(r"\{(\d+), \{(-?[\d.]+)f, (-?[\d.]+)f, (-?[\d.]+)f\}\}", source)
index = np.array([int(t[0]) for t in table])
neutral = np.array([[float(v) for v in t[1:]] for t in table])
assert len(index) == len(set(index)) > 30


def rotation(axis, degrees):
    return cv2.Rodrigues(np.array(axis, np.float64) * np.radians(degrees))[0]


def kabsch(a, b):
    """The rotation that takes a to b."""
    h = (a - a.mean(0)).T @ (b - b.mean(0))
    u, _, vt = np.linalg.svd(h)
    return vt.T @ np.diag([1, 1, np.linalg.det(vt.T @ u.T)]) @ u.T


rng = np.random.default_rng(3)
with open(f"{sys.argv[1]}/face_pose.bin", "wb") as f:
    for case in range(CASES):
        yaw, pitch, roll = rng.uniform([-80, -60, -179], [80, 60, 179])
        # x right, y down, z away: a positive turn about y looks left, one about x looks down, one about z is clockwise
        r = rotation([0, 0, 1], roll) @ rotation([0, 1, 0], -yaw) @ rotation([1, 0, 0], -pitch)
        mesh = rng.normal(0, 50, (478, 3))  # points that take no part
        mesh[index] = neutral @ r.T * rng.uniform(10, 400) + rng.uniform(-100, 900, 3)
        if case >= CASES // 2:
            mesh[index] += rng.normal(0, 2, (len(index), 3))
            r = kabsch(neutral, mesh[index])
            yaw, pitch, roll = np.degrees(
                [np.arcsin(r[2, 0]), -np.arctan2(r[2, 1], r[2, 2]), np.arctan2(r[1, 0], r[0, 0])])
        f.write(mesh.T.astype(np.float32).tobytes() + np.array([yaw, pitch, roll], np.float32).tobytes())
