#!/usr/bin/env python3
"""Ten whole training steps of every model in PyTorch, written from the models' description alone.

Channels and sides are scaled down so that all combinations of model, loss, style and mask take half a second each; the
lighter H64 runs at its true size too, four steps. First weights come from a hash that the test computes too. Writes
swap_models.json (cases: table, options, losses of each step, statistics of each parameter) and swap_models.bin
(little-endian float32: inputs, sampled final weights, predictions). Tensors are [N, C, H, W].

SAE's terms are computed here as they were first written, on pictures in [-1, 1] shifted to [0, 2].
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
SAMPLES = 2048
out = Path(sys.argv[1])
blob, position = open(out / "swap_models.bin", "wb"), 0


def put(a):
    global position
    a = np.ascontiguousarray(a, dtype="<f4")
    blob.write(a.tobytes())
    position += a.size
    return position - a.size


def scramble(n, seed):
    """n numbers in [-1, 1) by a 32-bit integer hash of (index, seed)."""
    x = (np.arange(n, dtype=np.uint64) * 2654435761 + seed) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> shift
        x = (x * factor) & 0xFFFFFFFF
    x ^= x >> 16
    return (x >> 8).astype(np.float64) / 2**23 - 1


# ---- The models ------------------------------------------------------------------------------------------------------

def fixed(resolution, down, code, base, up, image, mask, liae=False):
    return dict(resolution=resolution, down=down, code=code, base=base, up=up, image=image, mask=mask, liae=liae, wide=False,
                separable=[False] * 4, multiscale=False)


BIG = [128, 256, 512, 1024]
MODELS = {
    "h64": fixed(64, BIG, 1024, 1024, 512, [512, 256, 128], [256, 128, 64]),
    "h64 lighter": fixed(64, [128, 256, 512, 768], 512, 512, 256, [256, 128, 64], [256, 128, 64]),
    "h128": fixed(128, BIG, 512, 512, 512, [512, 256, 128], [512, 256, 128]),
    "h128 lighter": fixed(128, BIG, 256, 256, 256, [256, 128, 64], [256, 128, 64]),
    "df": fixed(128, BIG, 512, 512, 512, [512, 256, 128], [512, 256, 128]),
    "liae": fixed(128, BIG, 256, 512, 512, [512, 256, 128], [512, 256, 128], liae=True),
}


def sae(inner, resolution, ae, ed, light=False, multiscale=False):
    e, d, m = 3 * ed, 3 * (ed // 2), int(ed / 1.5)
    width = 2 * ae if inner == "liae" else ae
    separable = {"df": [False, True, True, True], "liae": [False, True, False, True]}[inner]
    return dict(resolution=resolution, down=[e, 2 * e, 4 * e, 8 * e], code=ae, base=width, up=width,
                image=[8 * d, 4 * d, 2 * d], mask=[8 * m, 4 * m, 2 * m], liae=inner == "liae", wide=True,
                separable=separable if light else [False] * 4, multiscale=multiscale)


def scaled(t, by):
    t = dict(t, resolution=64)
    for key in ("down", "image", "mask"):
        t[key] = [max(c // by, 1) for c in t[key]]
    for key in ("code", "base", "up"):
        t[key] = t[key] // by
    return t


def shapes(t, masks):
    """Every parameter's name and shape."""
    def conv(name, cin, cout, k, separable=False):
        if separable:
            yield name + "/depthwise", (cin, 1, k, k)
            k = 1
        yield name + "/kernel", (cout, cin, k, k)
        yield name + "/bias", (cout, )

    def dense(name, cin, cout):
        yield name + "/kernel", (cout, cin)
        yield name + "/bias", (cout, )

    cin = 3
    for i, c in enumerate(t["down"]):
        yield from conv(f"encoder/down{i + 1}", cin, c, 5, t["separable"][i])
        cin = c
    side = t["resolution"] // 16
    for part in ("inter_b", "inter_ab") if t["liae"] else ("encoder", ):
        yield from dense(part + "/dense1", cin * side * side, t["code"])
        yield from dense(part + "/dense2", t["code"], t["base"] * side * side)
        yield from conv(part + "/up1", t["base"], 4 * t["up"], 3)
    for decoder in ("decoder", ) if t["liae"] else ("decoder_src", "decoder_dst"):
        for part, channels, last in ((decoder, t["image"], 3), ) + (((decoder + "_mask", t["mask"], 1), ) if masks else ()):
            cin = t["up"] * (2 if t["liae"] else 1)
            for i, c in enumerate(channels):
                yield from conv(f"{part}/up{i + 1}", cin, 4 * c, 3)
                cin = c
                if last == 3 and t["multiscale"] and i < 2:
                    yield from conv(f"{part}/out{i + 1}", cin, 3, 5)
            yield from conv(part + "/out", cin, last, 5)


def first_weights(t, masks, dtype):
    p, start = {}, {}
    for i, (name, shape) in enumerate(shapes(t, masks)):
        n = int(np.prod(shape))
        if name.endswith("bias"):
            scale = 0.05
        else:
            window = int(np.prod(shape[2:]))
            scale = float(np.sqrt(6 / (window * (shape[0] + shape[1]))))
        start[name] = (scramble(n, 1000 + i) * scale).astype(np.float32)
        p[name] = torch.tensor(start[name].reshape(shape), dtype=dtype, requires_grad=True)
    return p, start


def pad_same(x, k, stride):
    total = max((-(-x.shape[2] // stride) - 1) * stride + k - x.shape[2], 0)
    return F.pad(x, [total // 2, total - total // 2] * 2)


class Model:
    def __init__(self, t, masks, dtype):
        self.t, self.masks = t, masks
        self.p, self.start = first_weights(t, masks, dtype)

    def conv(self, x, name, stride=1):
        w, b = self.p[name + "/kernel"], self.p[name + "/bias"]
        if name + "/depthwise" in self.p:
            d = self.p[name + "/depthwise"]
            x, stride = F.conv2d(pad_same(x, d.shape[2], stride), d, None, stride, groups=x.shape[1]), 1
        return F.conv2d(pad_same(x, w.shape[2], stride), w, b, stride)

    def up(self, x, name):
        x = F.leaky_relu(self.conv(x, name), 0.1)
        n, c, h, w = x.shape
        return x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // 4, 2 * h, 2 * w)

    def encode(self, x):
        for i in range(4):
            x = F.leaky_relu(self.conv(x, f"encoder/down{i + 1}", 2), 0.1)
        return x

    def inter(self, x, part):
        side, p = self.t["resolution"] // 16, self.p
        x = x.permute(0, 2, 3, 1).flatten(1)
        x = x @ p[part + "/dense1/kernel"].T + p[part + "/dense1/bias"]
        x = x @ p[part + "/dense2/kernel"].T + p[part + "/dense2/bias"]
        return self.up(x.view(-1, side, side, self.t["base"]).permute(0, 3, 1, 2), part + "/up1")

    def decode(self, x, part):
        """Pictures from the smallest to the largest."""
        act = torch.tanh if self.t["wide"] else torch.sigmoid
        pictures = []
        for i in range(3):
            x = self.up(x, f"{part}/up{i + 1}")
            name = f"{part}/out" if i == 2 else f"{part}/out{i + 1}"
            if name + "/kernel" in self.p:
                pictures.append(act(self.conv(x, name)))
        return pictures

    def draw(self, src, dst):
        """Images and mask of src, dst and swap, in the model's own range. src, dst: faces in the model's own range."""
        if self.t["liae"]:
            fs, fd = self.encode(src), self.encode(dst)
            ab_s, ab_d, b_d = self.inter(fs, "inter_ab"), self.inter(fd, "inter_ab"), self.inter(fd, "inter_b")
            codes = torch.cat([ab_s, ab_s], 1), torch.cat([b_d, ab_d], 1), torch.cat([ab_d, ab_d], 1)
            decoders = ["decoder"] * 3
        else:
            cs, cd = self.inter(self.encode(src), "encoder"), self.inter(self.encode(dst), "encoder")
            codes, decoders = (cs, cd, cd), ["decoder_src", "decoder_dst", "decoder_src"]
        images = [self.decode(c, d) for c, d in zip(codes, decoders)]
        masks = [self.decode(c, d + "_mask")[0] for c, d in zip(codes, decoders)] if self.masks else [None] * 3
        return images, masks


# ---- The losses ------------------------------------------------------------------------------------------------------

def taps(sigma, radius, like):
    g = torch.exp(-torch.arange(-radius, radius + 1, dtype=torch.float64)**2 / (2.0 * sigma * sigma))
    return (g / g.sum()).to(like.dtype)


def gaussian(x, sigma, radius, padding):
    g, c = taps(sigma, radius, x), x.shape[1]
    row = g.view(1, 1, 1, -1).repeat(c, 1, 1, 1)
    x = F.conv2d(x, row, padding=(0, padding), groups=c)
    return F.conv2d(x, row.transpose(2, 3), padding=(padding, 0), groups=c)


def blur(x, radius):  # of sigma `radius`, cut off after twice as many pixels
    radius = max(1, radius)
    return gaussian(x, radius, 2 * radius, 2 * radius)


def dssim(x, y, span):  # one value per sample
    f = lambda v: gaussian(v, 1.5, 5, 0)
    c1, c2 = (0.01 * span)**2, (0.03 * span)**2
    mx, my = f(x), f(y)
    vx, vy, vxy = f(x * x) - mx * mx, f(y * y) - my * my, f(x * y) - mx * my
    s = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return (1 - s.mean((1, 2, 3))) / 2


def style(content, target, power):
    def moments(v):
        return v.mean((2, 3)), torch.sqrt(v.var((2, 3), unbiased=False) + 1e-5)

    radius = content.shape[2] // 16
    (m1, s1), (m2, s2) = moments(blur(content, radius)), moments(blur(target, radius))
    return (((m1 - m2)**2).sum() + ((s1 - s2)**2).sum()) * power / content.shape[1]


def shrink(x, size):
    return F.avg_pool2d(x, x.shape[2] // size)


def feature_losses(case, images, targets, features):
    """Of pictures in [0, 1]."""
    return [case["features"] * ((x - t) * f).abs().mean() for x, t, f in zip(images, targets, features)]


def fixed_losses(model, case, images, masks, targets, true_masks):
    sums = []
    for side in range(2):
        x, t, m = images[side][-1], targets[side], true_masks[side]
        if case["pixel_loss"]:
            soft = blur(m, m.shape[2] // 64)
            loss = (50 * (t * soft - x * soft)**2).mean()
        else:
            loss = 10 * dssim(x * m, t * m, 1.0).mean()
        if model.masks:
            loss = loss + (m - masks[side]).abs().mean()
        sums.append(loss)
    return sums


def sae_losses(model, case, images, masks, targets, true_masks, iteration):
    share = {"dssim": 0.0, "pixel": 1.0, "smooth": min(max((iteration - 5000) / 15000, 0), 1)}[case["loss"]]
    wide_masks = [2 * m - 1 for m in true_masks]

    def compare(x, t, m):
        return ((1 - share) * (100 * dssim(x * m, t * m, 2.0)**2).mean() + share * (100 * (x * m - t * m)**2).mean())

    def soft(m):
        return blur(m, m.shape[2] // 32) / 2 + 0.5

    sums = []
    for side in range(2):
        loss = 0
        for picture in images[side]:
            size = picture.shape[2]
            loss = loss + compare(picture + 1, shrink(targets[side], size) * 2, soft(shrink(wide_masks[side], size)))
        if model.masks:
            loss = loss + ((wide_masks[side] - masks[side])**2).mean()
        sums.append(loss)
    swap, dst, m = images[2][-1] + 1, targets[1] * 2, soft(wide_masks[1])
    if case["face_style"]:
        sums[1] = sums[1] + style(swap * m, dst * m, case["face_style"] / 100)
    if case["background_style"]:
        sums[1] = sums[1] + case["background_style"] / 100 * compare(swap, dst, 1 - m)
    return sums


# ---- The cases -------------------------------------------------------------------------------------------------------

def smooth_noise(rng, n, c, size, cells):
    x = torch.tensor(rng.random((n, c, cells, cells)), dtype=torch.float64)
    x = F.interpolate(x, (size, size), mode="bicubic", align_corners=False) + 0.02 * torch.tensor(
        rng.standard_normal((n, c, size, size)))
    return x.clamp(0, 1).float()


def make_inputs(resolution, n):
    rng = np.random.default_rng(resolution)
    at = torch.linspace(-1, 1, resolution)
    y, x = torch.meshgrid(at, at, indexing="ij")
    masks = [((x / (0.6 + 0.05 * i))**2 + (y / (0.95 - 0.05 * i))**2 < 1).float()[None] for i in range(2 * n)]
    features = (((x - 0.3)**2 + (y + 0.2)**2 < 0.04) | ((x + 0.3)**2 + (y + 0.2)**2 < 0.05)).float()[None]
    return dict(warped=smooth_noise(rng, 2 * n, 3, resolution, 6), target=smooth_noise(rng, 2 * n, 3, resolution, 6),
                mask=torch.stack(masks), features=torch.stack([features] * (2 * n)))


inputs = {(64, 2): make_inputs(64, 2), (64, 1): make_inputs(64, 1), (80, 1): make_inputs(80, 1)}
places = {}
for key, tensors in inputs.items():
    places["%d/%d" % key] = {k: put(v.permute(0, 2, 3, 1).numpy()) for k, v in tensors.items()}
cases = []


def statistics(model):
    result = []
    for name, value in model.p.items():
        end, start = value.detach().double().numpy().ravel(), model.start[name].astype(np.float64)
        step = max(1, end.size // SAMPLES)
        result.append({
            "name": name, "shape": list(value.shape) + [1] * (4 - value.dim()), "step": step, "at": put(end[::step]),
            "change": float(np.linalg.norm(end - start)),
        })
    return result


# At iteration 10,000 a number of "sae df, smooth, styles, no mask" lies so near a rectifier's kink that rounding decides to which
# side it goes, and with it 7 % of the way; at 12,000 none does.
def case(name, t, batch, masks=True, loss="dssim", pixel_loss=False, face_style=0, background_style=0, features=0,
         iteration=12000, steps=10, rate=5e-5, epsilon=1e-7):
    entry = dict(name=name, table=t, batch=batch, masks=masks, loss=loss, pixel_loss=pixel_loss, face_style=face_style,
                 background_style=background_style, features=features, iteration=iteration, rate=rate, epsilon=epsilon)
    data = inputs[(t["resolution"], batch)]
    model = Model(t, masks, torch.float32)
    own = (lambda v: 2 * v - 1) if t["wide"] else (lambda v: v)
    moments = {name: (torch.zeros_like(v), torch.zeros_like(v)) for name, v in model.p.items()}
    entry["losses"] = []
    for step in range(steps):
        src, dst = own(data["warped"]).split(batch)
        images, drawn = model.draw(src, dst)
        args = model, entry, images, drawn, data["target"].split(batch), data["mask"].split(batch)
        sums = sae_losses(*args, iteration + step) if t["wide"] else fixed_losses(*args)
        if features:
            shown = [(p[-1] + 1) / 2 if t["wide"] else p[-1] for p in images[:2]]
            extra = feature_losses(entry, shown, data["target"].split(batch), data["features"].split(batch))
            sums = [s + e for s, e in zip(sums, extra)]
        entry["losses"].append([float(s) for s in sums])
        for v in model.p.values():
            v.grad = None
        sum(sums).backward()
        keras_adam(model, moments, step + 1, rate, epsilon)
    with torch.no_grad():
        images, drawn = model.draw(*own(data["warped"]).split(batch))
        back = (lambda v: (v + 1) / 2) if t["wide"] else (lambda v: v)
        entry["swap"] = put(back(images[2][-1]).permute(0, 2, 3, 1).numpy())
        entry["swap_mask"] = put(back(drawn[2]).permute(0, 2, 3, 1).numpy()) if masks else -1
    entry["params"] = statistics(model)
    cases.append(entry)


def keras_adam(model, moments, t, rate, epsilon, b1=0.5, b2=0.999):
    rate = rate * np.sqrt(1 - b2**t) / (1 - b1**t)
    with torch.no_grad():
        for name, v in model.p.items():
            m, s = moments[name]
            m.mul_(b1).add_(v.grad, alpha=1 - b1)
            s.mul_(b2).addcmul_(v.grad, v.grad, value=1 - b2)
            v.addcdiv_(m, s.sqrt().add_(epsilon), value=-rate)


# Every model in every mode of its loss, with and without masks, SAE with and without styles too.
for name in MODELS:
    small = scaled(MODELS[name], 16)
    for pixel_loss in (False, True):
        for masks in (True, False):
            case(name + ", pixel loss" * pixel_loss + ", no mask" * (not masks), small, 2, masks, pixel_loss=pixel_loss)
    if name in ("h64", "h128", "liae"):
        case(name + ", features", small, 2, features=30)
for inner in ("df", "liae"):
    small, styled = sae(inner, 64, 16, 4), dict(face_style=10, background_style=4)
    for loss in ("dssim", "pixel", "smooth"):
        for masks in (True, False):
            case(f"sae {inner}, {loss}" + ", no mask" * (not masks), small, 2, masks, loss)
            case(f"sae {inner}, {loss}, styles" + ", no mask" * (not masks), small, 2, masks, loss, **styled)
    case(f"sae {inner}, smooth, features, styles", small, 2, True, "smooth", features=30, **styled)
    case(f"sae {inner}, light, multiscale, 80 pixels, smooth, styles", sae(inner, 80, 16, 5, True, True), 1, True, "smooth",
         **styled)
# With 2·10^7 weights and one face a side, most gradients are so near zero that Adam with its usual epsilon makes whole steps
# out of rounding: PyTorch then differs from itself, with and without oneDNN, by 10 % of the way. A larger epsilon shows how
# the gradients themselves agree.
case("h64 lighter, true size", MODELS["h64 lighter"], 1, steps=4, rate=2e-3, epsilon=1e-3)

# How many numbers each model learns, by the description.
counts = {}
for name, t in list(MODELS.items()) + [(f"sae {inner} {r} {ae} {ed}{' lighter' if light else ''}{' multiscale' if multi else ''}",
                                        sae(inner, r, ae, ed, light, multi))
                                       for inner, r, ae, ed, light, multi in (
                                           ("df", 128, 512, 42, False, False), ("liae", 128, 256, 42, False, False),
                                           ("df", 64, 128, 32, False, False), ("df", 128, 698, 51, False, False),
                                           ("liae", 128, 402, 47, False, False), ("df", 128, 1024, 85, True, False), ("df", 128, 1024, 85, False, False),
                                           ("liae", 256, 512, 64, True, True), ("df", 640, 32, 21, False, True))]:
    counts[name] = [sum(int(np.prod(s)) for _, s in shapes(t, masks)) for masks in (False, True)]

json.dump({"inputs": places, "cases": cases, "counts": counts}, open(out / "swap_models.json", "w"))
blob.close()
