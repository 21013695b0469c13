"""Aligned faces as DeepFaceLab's own code writes them: JPEGs with a pickle in APP15, PNGs with one in a chunk, in all
protocols and kinds of containers that are about. And pickles that no reader of data may follow."""
import os
import pickle
import shutil
import struct
import sys
import zlib

import cv2
import numpy as np

out = os.path.join(sys.argv[1], "dfl")
shutil.rmtree(out, ignore_errors=True)
aligned, odd, hostile, numbers = (os.path.join(out, n) for n in ("aligned", "odd", "hostile", "numbers"))
for folder in (aligned, odd, hostile, numbers):
    os.makedirs(folder)
random = np.random.default_rng(5)
SIDE = 64


def picture(seed):
    r = np.random.default_rng(seed)
    return cv2.resize(r.integers(0, 255, (9, 9, 3), np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def in_jpeg(jpeg, data):
    """After the last APPn segment."""
    at = 2
    while jpeg[at + 1] & 0xF0 == 0xE0:
        at += 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
    return jpeg[:at] + b"\xff\xef" + struct.pack(">H", len(data) + 2) + data + jpeg[at:]


def in_png(png, data):
    at = png.rindex(b"IEND") - 4
    body = b"fcWp" + data
    return png[:at] + struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body)) + png[at:]


def encode(seed, ending=".jpg"):
    return cv2.imencode(ending, picture(seed))[1].tobytes()


def face(i, protocol):
    """The data of face i; what it is held in changes with i."""
    crop = random.uniform(8, 56, (68, 2))
    c, s = 0.6 * np.cos(i / 40), 0.6 * np.sin(i / 40)
    m = np.array([[c, -s, -30 + i % 7], [s, c, 4]])
    frame = (crop - m[:, 2]) @ np.linalg.inv(m[:, :2]).T
    kinds = [
        lambda a: a.tolist(),
        lambda a: a.astype(np.float32),
        lambda a: a.astype(np.float64),
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(">f4"),
        lambda a: [tuple(p) for p in a],  # numpy scalars
        lambda a: a.astype(np.float16).astype(np.float64).tolist(),
    ]
    kind = kinds[i % len(kinds)]
    d = {
        "landmarks": kind(crop),
        "source_filename": "%05d.png" % (i // 2 + 1),
        "source_rect": [(100, 50, 240, 200), np.array([100, 50, 240, 200]), [100.5, 50, 240, 200]][i % 3],
        "source_landmarks": kind(frame),
    }
    types = ["full_face", "half_face", "head", "mid_full_face", "whole_face", None]
    if types[i % 6]:
        d["face_type"] = types[i % 6]
    if i % 2:
        d["image_to_face_mat"] = kind(m)
    if i % 3 == 0:
        d["seg_ie_polys"] = {"polys": [{"type": i % 2, "pts": random.uniform(0, 64, (5, 2)).astype(np.float32)}]}
    if i % 4 == 0:
        d["xseg_mask"] = cv2.imencode(".png", (picture(i)[:, :, :1] > 128).astype(np.uint8) * 255)[1].reshape(-1, 1)
    if i % 5 == 0:
        d["eyebrows_expand_mod"] = np.float32(1.25) if i % 2 else 1.0
    if i % 7 == 0:
        shared = ["twice"]
        d["something later"] = {"a": shared, "b": shared, "big": 1 << 100, "small": -(1 << 40), "n": None, 3: True}
        d["bytes"] = (b"\x00\xff\x80", b"", bytearray(b"xy"), (), [], {}, -1.5e300, "\u00fc\U0001f600")
        if protocol >= 4:
            d["set"] = {1, 2, 3}
    return d


for i in range(1000):
    protocol = 2 + i % 4
    data = pickle.dumps(face(i, protocol), protocol)
    png = i % 10 == 9
    with open(os.path.join(aligned, "%05d_%d.%s" % (i // 2 + 1, i % 2, "png" if png else "jpg")), "wb") as f:
        f.write(in_png(encode(i, ".png"), data) if png else in_jpeg(encode(i), data))

# A folder in which not all is well.
good = in_jpeg(encode(1), pickle.dumps(face(1, 4), 4))
oddities = {
    "a_good.jpg": good,
    "b_same_face.jpg": good,
    "c_no_data.jpg": encode(2),
    "d_cut.jpg": good[: len(good) * 2 // 3],
    "e_cut_early.jpg": good[:300],
    "f_text.jpg": b"hello, this is no picture",
    "g_unknown_type.jpg": in_jpeg(encode(3), pickle.dumps(dict(face(3, 4), face_type="mark_only"), 4)),
    "h_imports.jpg": in_jpeg(encode(4), b"\x80\x04cos\nsystem\n(X\x04\x00\x00\x00truetR."),
    "i_no_landmarks.jpg": in_jpeg(encode(5), pickle.dumps({"face_type": "full_face"}, 3)),
    "j_few_landmarks.jpg": in_jpeg(encode(6), pickle.dumps({"landmarks": [[1, 2]] * 67}, 3)),
    "k_other_protocol.jpg": in_jpeg(encode(7), b"\x80\x09N."),
    "l_other.txt": b"not a picture, and not counted",
    "m_wide.jpg": in_jpeg(cv2.imencode(".jpg", picture(8)[:40])[1].tobytes(), pickle.dumps(face(8, 4), 4)),
    "n_crc.png": in_png(encode(9, ".png"), pickle.dumps(face(9, 4), 4)).replace(b"fcWp\x80", b"fcWp\x81"),
    "o_good.png": in_png(encode(10, ".png"), pickle.dumps(face(10, 4), 4)),
    "p_bad_masks.jpg": in_jpeg(
        encode(11),
        pickle.dumps(
            dict(face(11, 4), seg_ie_polys=[(0, [[1, 2]] * 1001)], xseg_mask=np.arange(9, dtype=np.uint8)), 4
        ),
    ),
}
for name, content in oddities.items():
    with open(os.path.join(odd, name), "wb") as f:
        f.write(content)


class Runs:
    def __reduce__(self):
        return os.system, ("touch pwned",)


class Plain:
    pass


deep = []
for _ in range(70):
    deep = [deep]
ring = []
ring.append(ring)
refused = {
    "os.system": pickle.dumps(Runs(), 4),
    "import": b"\x80\x02c__builtin__\neval\nX\x03\x00\x00\x001+1\x85R.",
    "stack_import": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
    "object": pickle.dumps(Plain(), 4),
    "inst": b"\x80\x02(ios\nsystem\n.",
    "newobj": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "ndarray_call": b"\x80\x02cnumpy\nndarray\nM\xff\xff\x85R.",
    "persistent": b"\x80\x02K\x01Q.",
    "extension": b"\x80\x02\x82\x01.",
    "deep": pickle.dumps(deep, 4),
    "ring": pickle.dumps(ring, 4),
    "huge_length": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "huge_text": b"\x80\x02X\xff\xff\xff\xff.",
    "huge_memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "no_memo": b"\x80\x02h\x05.",
    "no_end": b"\x80\x02N",
    "empty_stack": b"\x80\x02.",
    "two_objects": b"\x80\x02NN.",
    "no_mark": b"\x80\x02t.",
    "protocol_0": pickle.dumps([1, "a"], 0),
    "protocol_9": b"\x80\x09N.",
    "build": b"\x80\x02]}b.",
    "list_as_key": b"\x80\x02}]K\x01s.",
    "empty": b"",
    "text": b"hello",
}
for name, content in refused.items():
    with open(os.path.join(hostile, name), "wb") as f:
        f.write(content)

# Six numbers in every kind of container, and what they are.
values = np.array([[1, -2, 3], [40, -50, 60]])
kinds = [values.tolist(), tuple(map(tuple, values.tolist())), np.asfortranarray(values.astype("f8"))]
kinds += [values.astype(t) for t in ("i1", "<i2", ">i2", "i4", "i8", "f2", "f4", ">f4", "f8", ">f8")]
kinds += [[np.float32(v) for v in values.ravel()], [np.int64(v) for v in values.ravel()], values[:, ::-1][:, ::-1]]
for protocol in range(2, 6):
    for i, kind in enumerate(kinds):
        with open(os.path.join(numbers, "%d_%02d" % (protocol, i)), "wb") as f:
            f.write(pickle.dumps({"six": kind, "text": "six"}, protocol))
