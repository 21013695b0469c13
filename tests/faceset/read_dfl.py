"""Reads what we wrote with Python's own pickle. read_dfl.py same A B: both folders hold the same faces, to the byte where
asked for; read_dfl.py faces DIR: prints what DeepFaceLab would see of each picture."""
import os
import pickle
import struct
import sys

import cv2
import numpy as np


def data_of(path):
    with open(path, "rb") as f:
        b = f.read()
    assert cv2.imdecode(np.frombuffer(b, np.uint8), cv2.IMREAD_COLOR) is not None, path
    if b[:4] == b"\x89PNG":
        at = 8
        while b[at + 4 : at + 8] != b"fcWp":
            at += 12 + struct.unpack(">I", b[at : at + 4])[0]
        return pickle.loads(b[at + 8 : at + 8 + struct.unpack(">I", b[at : at + 4])[0]])
    at = 2
    while b[at + 1] != 0xDA:
        n = struct.unpack(">H", b[at + 2 : at + 4])[0]
        if b[at + 1] == 0xEF:
            return pickle.loads(b[at + 4 : at + 2 + n])
        at += 2 + n
    raise SystemExit(path + ": no APP15")


def equal(a, b):
    if type(a) != type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


if sys.argv[1] == "same":
    names = sorted(os.listdir(sys.argv[2]))
    assert names == sorted(os.listdir(sys.argv[3])), "other files"
    for name in names:
        a, b = (data_of(os.path.join(d, name)) for d in sys.argv[2:4])
        assert equal(a, b), (name, a, b)
    print(len(names))
elif sys.argv[1] == "rest":  # all but what a changed face says anew
    ours = {"landmarks", "source_rect", "source_landmarks", "image_to_face_mat"}
    for name in sorted(os.listdir(sys.argv[2])):
        a, b = (data_of(os.path.join(d, name)) for d in sys.argv[2:4])
        for k in a:
            assert k in ours or equal(a[k], b[k]), (name, k, a[k], b.get(k))
        for k in ours & set(a):
            x, y = (np.array(d[k], np.float64) for d in (a, b))
            assert k == "source_rect" or k == "image_to_face_mat" or np.abs(x - y).max() < 1e-3, (name, k)
    print("ok")
elif sys.argv[1] == "masks":  # polygons and mask of one file, drawn as DeepFaceLab draws them: white pixels of each
    d = data_of(sys.argv[2])
    told = []
    if "seg_ie_polys" in d:
        include = any(p["type"] for p in d["seg_ie_polys"]["polys"])
        seen = np.full((96, 96), 0 if include else 1, np.uint8)
        for poly in sorted(d["seg_ie_polys"]["polys"], key=lambda p: -p["type"]):
            assert poly["pts"].dtype == np.float32 and poly["pts"].shape[1:] == (2,)
            cv2.fillPoly(seen, [np.round(poly["pts"]).astype(np.int32)], poly["type"])
        told.append("polygons %d" % seen.sum())
    if "xseg_mask" in d:
        mask = cv2.imdecode(d["xseg_mask"], cv2.IMREAD_UNCHANGED)
        assert mask.dtype == np.uint8 and mask.ndim == 2
        told.append("mask %d" % (mask > 127).sum())
    print(", ".join(told) or "none")
else:
    for name in sorted(os.listdir(sys.argv[2])):
        d = data_of(os.path.join(sys.argv[2], name))
        m = np.array(d["image_to_face_mat"])
        crop, frame = (np.array(d[k]) for k in ("landmarks", "source_landmarks"))
        assert crop.shape == frame.shape == (68, 2) and m.shape == (2, 3)
        assert np.abs(frame @ m[:, :2].T + m[:, 2] - crop).max() < 0.05, name
        x0, y0, x1, y1 = d["source_rect"]
        assert (frame >= [x0 - 1, y0 - 1]).all() and (frame <= [x1 + 1, y1 + 1]).all(), name
        print(name, d["face_type"], d["source_filename"])
