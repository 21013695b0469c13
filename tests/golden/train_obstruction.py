"""The obstruction network in PyTorch: random weights as safetensors, an input, and what comes out, with the loss."""
import json
import os
import struct
import sys

import numpy as np
import torch
import torch.nn.functional as F

out = os.path.join(sys.argv[1], "train_obstruction_")
SIZE, WIDTH, BATCH, LEVELS = 32, 4, 2, 4
random = np.random.default_rng(11)
weights = {}


def conv(name, x, channels, stride=1, last=False):
    """3×3 with TensorFlow's 'same' padding: an even input and stride 2 is padded after alone."""
    shape = (channels, x.shape[1], 3, 3)
    w = weights[name + "/kernel"] = random.normal(0, 0.25, shape).astype(np.float32)
    b = random.normal(0, 0.1, channels).astype(np.float32)
    weights[name + "/bias"] = b.reshape(1, channels, 1, 1)
    x = F.pad(x, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
    x = F.conv2d(x, torch.from_numpy(w), torch.from_numpy(b), stride)
    return torch.sigmoid(x) if last else F.leaky_relu(x, 0.1)


def block(part, level, x, channels, stride):
    x = conv("%s%d/conv1" % (part, level), x, channels, stride)
    return conv("%s%d/conv2" % (part, level), x, channels)


def beside(small, large):
    small = F.interpolate(small, large.shape[2:], mode="bilinear", align_corners=False)
    return torch.cat([small, large], 1)


face = random.random((BATCH, 4, SIZE, SIZE), np.float32)
target = (random.random((BATCH, 1, SIZE, SIZE)) > 0.5).astype(np.float32)
weight = 1 + 0.5 * random.random((BATCH, 1, SIZE, SIZE), np.float32)
x = 2 * torch.from_numpy(face) - 1
skips, deep = [], x
for i in range(LEVELS):
    deep = block("down", i, deep, WIDTH << i, 2)
    skips.append(deep)
for i in reversed(range(LEVELS - 1)):
    deep = block("up", i, beside(deep, skips[i]), WIDTH << i, 1)
mask = conv("out", conv("last", beside(deep, x), WIDTH), 1, last=True)
difference = torch.from_numpy(weight) * (mask - torch.from_numpy(target))
loss = (difference**2).mean()

header, at = {}, 0
for name, w in weights.items():
    header[name] = {"dtype": "F32", "shape": list(w.shape), "data_offsets": [at, at + w.nbytes]}
    at += w.nbytes
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(out + "weights.safetensors", "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + b"".join(w.tobytes() for w in weights.values()))
with open(out + "values.f32", "wb") as f:
    for t in (face, target, weight, mask.numpy()):
        f.write(np.ascontiguousarray(t.transpose(0, 2, 3, 1)).tobytes())
    f.write(np.float32(loss).tobytes())
