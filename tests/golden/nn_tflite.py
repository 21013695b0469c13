"""The pretrained TFLite networks and the TensorFlow.js one, evaluated independently: an own reader of FlatBuffers and
FlexBuffers, operators by PyTorch, on a frame of a sample clip.

For NETWORK, nn_tflite_NETWORK.bin holds the input and then each output as float32 in the file's order (channels
last); nn_tflite_NETWORK.txt names the outputs with their counts, one a line. Without networks or clips nothing is
written, and the test skips."""
import base64
import json
import math
import os
import struct
import sys

import cv2
import numpy as np
import torch
import torch.nn.functional as F

OUT = sys.argv[1]
DATA = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "likeness")
MODELS = os.environ.get("LIKENESS_MODELS") or os.path.join(DATA, "models")
CLIPS = os.environ.get("LIKENESS_CLIPS") or os.path.join(DATA, "clips")
torch.set_num_threads(2)


class Table:
    def __init__(self, data, at):
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]

    def field(self, i):
        size = struct.unpack_from("<H", self.data, self.vtable)[0]
        offset = struct.unpack_from("<H", self.data, self.vtable + 4 + 2 * i)[0] if 4 + 2 * i < size else 0
        return self.at + offset if offset else None

    def get(self, i, kind="<i", default=0):
        at = self.field(i)
        return default if at is None else struct.unpack_from(kind, self.data, at)[0]

    def target(self, i):
        at = self.field(i)
        return None if at is None else at + struct.unpack_from("<I", self.data, at)[0]

    def table(self, i):
        at = self.target(i)
        return None if at is None else Table(self.data, at)

    def array(self, i, kind):
        at = self.target(i)
        if at is None:
            return np.zeros(0, kind)
        return np.frombuffer(self.data, kind, struct.unpack_from("<I", self.data, at)[0], at + 4)

    def tables(self, i):
        at = self.target(i)
        n = 0 if at is None else struct.unpack_from("<I", self.data, at)[0]
        places = [at + 4 + 4 * k for k in range(n)]
        return [Table(self.data, p + struct.unpack_from("<I", self.data, p)[0]) for p in places]

    def text(self, i):
        return self.array(i, np.uint8).tobytes().decode()


def flex(data):
    """A FlexBuffers map of numbers and integer vectors."""
    unsigned = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}
    read = lambda at, width: struct.unpack_from(unsigned[width], data, at)[0]
    width = data[-1]
    start = len(data) - 2 - width
    at, width = start - read(start, width), 1 << (data[-2] & 3)
    keys, key_width, count = at - 3 * width - read(at - 3 * width, width), read(at - 2 * width, width), read(at - width, width)
    result = {}
    for i in range(count):
        name = keys + i * key_width - read(keys + i * key_width, key_width)
        packed, place = data[at + count * width + i], at + i * width
        kind, own = packed >> 2, 1 << (packed & 3)
        if kind == 3:
            value = struct.unpack_from({4: "<f", 8: "<d"}[width], data, place)[0]
        elif kind in (1, 2):
            value = read(place, width)
        else:
            vector = place - read(place, width)
            value = [read(vector + k * own, own) for k in range(read(vector - own, own))]
        result[data[name : data.index(b"\0", name)].decode()] = value
    return result


def first(x):  # channels last → PyTorch
    return x.permute(0, 3, 1, 2)


def last(x):
    return x.permute(0, 2, 3, 1)


def same(size, kernel, stride, dilation=1):
    total = max(0, (math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


def padded(x, padding, kernel, stride, value=0.0, dilation=1):
    if padding != 0:
        return x
    top, bottom = same(x.shape[2], kernel[0], stride[0], dilation)
    left, right = same(x.shape[3], kernel[1], stride[1], dilation)
    return F.pad(x, (left, right, top, bottom), value=value)


def activate(x, code):
    return {0: lambda v: v, 1: F.relu, 3: lambda v: v.clamp(0, 6)}[code](x)


def conv(x, w, b, padding, stride, groups):
    x = padded(first(x), padding, w.shape[2:], (stride, stride))
    return last(F.conv2d(x, w, b, stride=stride, groups=groups))


def landmarks_to_matrix(p, o):
    p = p.reshape(-1, 3)[:, :2].double()
    d = p[o["right_rotation_idx"]] - p[o["left_rotation_idx"]]
    r = o["target_rotation_radians"] - math.atan2(d[1], d[0])
    turn = torch.tensor([[math.cos(r), -math.sin(r)], [math.sin(r), math.cos(r)]], dtype=torch.float64)
    q = p[o["subset_idxs"]] @ turn.T
    low, high = q.min(0).values, q.max(0).values
    size = torch.tensor([o["output_width"], o["output_height"]], dtype=torch.float64)
    scale = torch.tensor([o["scale_x"], o["scale_y"]], dtype=torch.float64) * (high - low) / size
    a = turn.T @ torch.diag(scale)
    m = torch.eye(4, dtype=torch.float64)
    m[:2, :2] = a
    m[:2, 3] = turn.T @ ((low + high) / 2) - a @ (size / 2)
    return m.float()[None]


def transform_bilinear(x, m, o):
    h, w = o["output_height"], o["output_width"]
    v, u = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    m = m.reshape(4, 4)
    px, py = m[0, 0] * u + m[0, 1] * v + m[0, 3], m[1, 0] * u + m[1, 1] * v + m[1, 3]
    inside = (px >= 0.5) & (px <= x.shape[2] - 0.5) & (py >= 0.5) & (py <= x.shape[1] - 0.5)
    grid = torch.stack([2 * px / x.shape[2] - 1, 2 * py / x.shape[1] - 1], -1)[None]
    y = F.grid_sample(first(x), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return last(y * inside)


def transform_landmarks(x, m):
    m, y = m.reshape(4, 4), x.clone()
    y[..., :2] = x[..., :2] @ m[:2, :2].T + m[:2, 3]
    return y


def evaluate_tflite(path, image):
    data = open(path, "rb").read()
    model = Table(data, struct.unpack_from("<I", data, 0)[0])
    codes = [(max(c.get(0, "<b"), c.get(3)), c.text(1)) for c in model.tables(1)]
    buffers, graph = model.tables(4), model.tables(2)[0]
    tensors, value = graph.tables(0), {}
    shapes = [list(t.array(0, "<i4")) for t in tensors]
    kinds = {0: "<f4", 1: "<f2", 2: "<i4"}
    for i, t in enumerate(tensors):
        content = buffers[t.get(2, "<I")].array(0, np.uint8)
        if len(content):
            array = np.frombuffer(content.tobytes(), kinds[t.get(1, "<b")]).reshape(shapes[i])
            value[i] = torch.from_numpy(array.astype(np.int64 if array.dtype.kind == "i" else np.float32))
    value[int(graph.array(1, "<i4")[0])] = image
    for op in graph.tables(3):
        code, name = codes[op.get(0, "<I")]
        ins, out, o = [int(i) for i in op.array(1, "<i4")], int(op.array(2, "<i4")[0]), op.table(4)
        x = value[ins[0]]
        rest = [value[i] for i in ins[1:]]
        if code == 6:
            y = x
        elif code in (3, 4):
            w = rest[0].permute(3, 0, 1, 2) if code == 4 else rest[0].permute(0, 3, 1, 2)
            groups = x.shape[3] if code == 4 else 1
            y = activate(conv(x, w, rest[1], o.get(0, "<b"), o.get(1), groups), o.get(4 if code == 4 else 3, "<b"))
        elif code in (1, 17):
            kernel, stride, padding = (o.get(4), o.get(3)), (o.get(2), o.get(1)), o.get(0, "<b")
            z = padded(first(x), padding, kernel, stride, -math.inf if code == 17 else 0)
            y = last(F.max_pool2d(z, kernel, stride) if code == 17 else F.avg_pool2d(z, kernel, stride))
        elif code == 0:
            y = activate(x + rest[0], o.get(0, "<b") if o else 0)
        elif code == 2:
            y = torch.cat([x, *rest], o.get(0))
        elif code == 18:
            y = activate(x * rest[0], o.get(0, "<b") if o else 0)
        elif code == 14:
            y = torch.sigmoid(x)
        elif code == 19:
            y = F.relu(x)
        elif code == 54:
            y = torch.where(x > 0, x, x * rest[0])
        elif code == 117:
            y = x * (x + 3).clamp(0, 6) / 6
        elif code == 22:
            y = x.reshape(shapes[out])
        elif code == 45:
            y = x
        elif code == 34:
            y = F.pad(x, [int(v) for row in reversed(rest[0].tolist()) for v in row])
        elif code == 23:
            assert not o.get(2, "<b") and o.get(3, "<b")
            y = last(F.interpolate(first(x), [int(v) for v in rest[0]], mode="bilinear", align_corners=False))
        elif name == "Landmarks2TransformMatrix":
            y = landmarks_to_matrix(x, flex(op.array(5, np.uint8).tobytes()))
        elif name == "TransformTensorBilinear":
            y = transform_bilinear(x, rest[0], flex(op.array(5, np.uint8).tobytes()))
        elif name == "TransformLandmarks":
            y = transform_landmarks(x, rest[0])
        elif name == "Convolution2DTransposeBias":
            y = last(F.conv_transpose2d(first(x), rest[0].permute(3, 0, 1, 2), rest[1], stride=2))
        else:
            raise ValueError(f"operator {code} {name}")
        assert list(y.shape) == shapes[out], (code, name, y.shape, shapes[out])
        value[out] = y
    return {tensors[i].text(3): value[int(i)] for i in graph.array(2, "<i4")}


def evaluate_tfjs(json_path, bin_path, image):
    model, blob, weights, at = json.load(open(json_path)), open(bin_path, "rb").read(), {}, 0
    for w in model["weightsManifest"][0]["weights"]:
        kind = np.dtype(w.get("quantization", {}).get("dtype", w["dtype"]))
        n = int(np.prod(w["shape"])) if w["shape"] else 1
        array = np.frombuffer(blob, kind, n, at).reshape(w["shape"])
        weights[w["name"]], at = torch.from_numpy(array.astype(np.float32)), at + n * kind.itemsize
    value = {}
    for node in model["modelTopology"]["node"]:
        op, x = node["op"], [value[i.split(":")[0]] for i in node.get("input", [])]
        stride = int(node["attr"]["strides"]["list"]["i"][1]) if "strides" in node["attr"] else 1
        if op == "Const":
            y = weights[node["name"]]
        elif op == "Placeholder":
            y = image
        elif op == "Conv2D":
            assert base64.b64decode(node["attr"]["padding"]["s"]) == b"SAME"
            y = conv(x[0], x[1].permute(3, 2, 0, 1), None, 0, stride, 1)
        elif op == "DepthwiseConv2dNative":
            y = conv(x[0], x[1].permute(2, 3, 0, 1), None, 0, stride, x[0].shape[3])
        elif op == "Mean":
            y = x[0].mean((1, 2))
        elif op == "_FusedMatMul":
            y = x[0] @ x[1] + x[2]
            if len(node["attr"]["fused_ops"]["list"]["s"]) > 1:
                y = F.relu(y)
        elif op == "Softmax":
            y = torch.softmax(x[0], -1)
        else:
            simple = {"Add": torch.add, "Mul": torch.mul, "Minimum": torch.minimum, "Maximum": torch.maximum}
            y = {"Relu": F.relu, "Sigmoid": torch.sigmoid, **simple}[op](*x)
        value[node["name"]] = y
    return {"global_pooling/Mean": value["global_pooling/Mean"]}


def frame():
    clip = cv2.VideoCapture(os.path.join(CLIPS, "franck.mp4"))
    clip.set(cv2.CAP_PROP_POS_FRAMES, 100)
    ok, picture = clip.read()
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if ok else None


def save(name, image, outputs):
    with open(f"{OUT}/nn_tflite_{name}.bin", "wb") as f:
        for t in [image, *outputs.values()]:
            f.write(np.ascontiguousarray(t.numpy(), "<f4").tobytes())
    with open(f"{OUT}/nn_tflite_{name}.txt", "w") as f:
        for key, t in outputs.items():
            f.write(f"{key} {t.numel()}\n")


def main():
    picture = frame()
    if picture is None or not os.path.exists(os.path.join(MODELS, "faceres.json")):
        print("no networks or clips: run 'likeness models install' and 'tools/setup.sh clips'")
        return
    side = min(picture.shape[:2])
    left = (picture.shape[1] - side) // 2
    crop = picture[:side, left : left + side]
    sides = {"face_detection_full_range": 192, "face_detection_short_range": 128, "face_landmark": 192}
    sides.update({"face_landmark_with_attention": 192, "selfie_segmentation": 256, "faceres": 224})
    for name, size in sides.items():
        image = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
        image = image / 127.5 - 1 if name.startswith("face_detection") else image / 255
        image = torch.from_numpy(image)[None]
        with torch.no_grad():
            if name == "faceres":
                image = image * 255
                path = os.path.join(MODELS, name)
                save(name, image, evaluate_tfjs(path + ".json", path + ".bin", image))
            else:
                save(name, image, evaluate_tflite(os.path.join(MODELS, name + ".tflite"), image))


main()
