"""Training steps of the models in PyTorch, as an expert would write them: fused layers where PyTorch has them,
channels-last, no wasted pass, one encoder pass for both sides, foreach Adam. Prints one JSON object.

    python3 bench/torch_steps.py --model sae --batch 8 --threads 2 --modes f32,f32-nhwc,bf16,bf16-nhwc --seconds 20
"""
import argparse
import json
import re
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F


def down(i, o):
    return nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(i, o, 5, stride=2), nn.LeakyReLU(0.1, inplace=True))


class DepthToSpace(nn.Module):
    """TensorFlow's order of channels: (row·2 + column)·c + channel; PyTorch's own is channel·4 + row·2 + column. Which of
    the two a network is trained with is the same to its time, so the faster one is taken."""

    def forward(self, x):
        return F.pixel_shuffle(x, 2)


def up(i, o):
    return nn.Sequential(nn.Conv2d(i, 4 * o, 3, padding=1), nn.LeakyReLU(0.1, inplace=True), DepthToSpace())


class Branch(nn.Module):
    def __init__(self, i, widths, o, last):
        super().__init__()
        blocks, at = [], i
        for w in widths:
            blocks.append(up(at, w))
            at = w
        self.body = nn.Sequential(*blocks, nn.Conv2d(at, o, 5, padding=2))
        self.last = last

    def forward(self, x):
        return self.last(self.body(x))


class Code(nn.Module):
    """Dense, dense, up: from the encoder's map to the decoder's."""

    def __init__(self, channels, side, ae, low_side, low, out):
        super().__init__()
        self.first = nn.Linear(channels * side * side, ae)
        self.second = nn.Linear(ae, low_side * low_side * low)
        self.shape = (low, low_side, low_side)
        self.up = up(low, out)

    def forward(self, x):
        x = self.second(self.first(x.flatten(1)))
        return self.up(x.view(-1, *self.shape))


def model_name(name):
    """As a type of argparse: ends the program when there is no such model."""
    if re.fullmatch(r"h64|h128|df|liae|sae(liae)?(-[1-9]\d*-[1-9]\d*-[1-9]\d*)?", name):
        return name
    raise argparse.ArgumentTypeError(
        f"there is no model '{name}': take h64, h128, df, liae, sae, saeliae or sae-RESOLUTION-AE_DIMS-ED_CH_DIMS")


class Model(nn.Module):
    """df-like: one encoder and code, a decoder with an image and a mask branch for each side. liae: two codes, one
    decoder."""

    def __init__(self, name):
        super().__init__()
        last = torch.tanh if name.startswith("sae") else torch.sigmoid
        self.sae, self.liae = name.startswith("sae"), "liae" in name
        if self.sae:
            parts = name.split("-")  # sae[-resolution-ae-dims], or saeliae…
            self.resolution, ae, dims = (int(p) for p in parts[1:]) if len(parts) == 4 else (128, 512, 42)
            e, d, m = 3 * dims, 3 * (dims // 2), int(dims / 1.5)
            self.encoder = nn.Sequential(down(3, e), down(e, 2 * e), down(2 * e, 4 * e), down(4 * e, 8 * e))
            side = self.resolution // 16
            low, width = (2 * ae, 4 * ae) if self.liae else (ae, ae)
            self.codes = nn.ModuleList([Code(8 * e, side, ae, side, low, low) for _ in range(2 if self.liae else 1)])
            branches = lambda: nn.ModuleList([Branch(width, (8 * d, 4 * d, 2 * d), 3, last),
                                              Branch(width, (8 * m, 4 * m, 2 * m), 1, torch.sigmoid)])
            self.decoders = nn.ModuleList([branches() for _ in range(1 if self.liae else 2)])
        else:
            self.resolution = 64 if name == "h64" else 128
            self.encoder = nn.Sequential(down(3, 128), down(128, 256), down(256, 512), down(512, 1024))
            if name == "h64":
                self.codes = nn.ModuleList([Code(1024, 4, 1024, 4, 1024, 512)])
                mask = (256, 128, 64)
            else:
                count = 2 if self.liae else 1
                self.codes = nn.ModuleList([Code(1024, 8, 256 if self.liae else 512, 8, 512, 512) for _ in range(count)])
                mask = (512, 256, 128)
            width = 1024 if self.liae else 512
            branches = lambda: nn.ModuleList([Branch(width, (512, 256, 128), 3, last), Branch(width, mask, 1, last)])
            self.decoders = nn.ModuleList([branches() for _ in range(1 if self.liae else 2)])

    def forward(self, x):
        n = x.shape[0] // 2
        code = self.encoder(x)
        if self.liae:
            ab = self.codes[1](code)
            b = self.codes[0](code[n:])
            both = torch.cat([torch.cat([ab[:n], ab[:n]], 1), torch.cat([b, ab[n:]], 1)])
            return [self.decoders[0][0](both), self.decoders[0][1](both)]
        code = self.codes[0](code)
        parts = [self.decoders[0], self.decoders[1]]
        sides = [code[:n], code[n:]]
        return [torch.cat([p[k](s) for p, s in zip(parts, sides)]) for k in (0, 1)]


class Dssim(nn.Module):
    def __init__(self, reach):
        super().__init__()
        x = torch.arange(11) - 5.0
        g = torch.exp(-0.5 * (x / 1.5) ** 2)
        g = g / g.sum()
        self.register_buffer("row", g.view(1, 1, 1, 11))
        self.register_buffer("column", g.view(1, 1, 11, 1))
        self.c1, self.c2 = (0.01 * reach) ** 2, (0.03 * reach) ** 2

    def forward(self, x, y):
        n, c = x.shape[:2]
        planes = torch.cat([x, y, x * x + y * y, x * y]).flatten(0, 1).unsqueeze(1)
        planes = F.conv2d(F.conv2d(planes, self.row), self.column)
        a, b, squares, ab = planes.view(4, n, c, *planes.shape[2:]).unbind(0)
        s = (2 * a * b + self.c1) * (2 * (ab - a * b) + self.c2)
        s = s / ((a * a + b * b + self.c1) * (squares - a * a - b * b + self.c2))
        return (1 - s.mean((1, 2, 3))) / 2


def measure(name, batch, mode, seconds):
    torch.manual_seed(1)
    model = Model(name)
    layout = torch.channels_last if mode.endswith("nhwc") else torch.contiguous_format
    model = model.to(memory_format=layout)
    r = model.resolution
    warped, target = (torch.rand(2 * batch, 3, r, r).contiguous(memory_format=layout) for _ in range(2))
    mask = torch.rand(2 * batch, 1, r, r)
    adam = torch.optim.Adam(model.parameters(), lr=5e-5, betas=(0.5, 0.999), foreach=True)
    dssim = Dssim(2 if model.sae else 1)

    def step():
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode.startswith("bf16")):
            image, prediction = model(warped)
        image, prediction = image.float(), prediction.float()
        d = dssim(image * mask, target * mask)
        loss = (100 * d * d).mean() + F.mse_loss(prediction, mask) if model.sae else \
            (10 * d).mean() + F.l1_loss(prediction, mask)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        return loss.item()

    step()
    times, begin, processor = [], time.perf_counter(), time.process_time()
    while len(times) < 3 or (time.perf_counter() - begin < seconds and len(times) < 50):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    processor = (time.process_time() - processor) / len(times)
    times.sort()
    return {"seconds_min": times[0], "seconds_median": times[len(times) // 2], "processor_seconds": processor,
            "steps": len(times)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--model", type=model_name, default="sae")
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--modes", default="f32,f32-nhwc,bf16,bf16-nhwc")
    p.add_argument("--seconds", type=float, default=15)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    modes = {m: measure(a.model, a.batch, m, a.seconds) for m in a.modes.split(",")}
    # VmHWM of this process: with one mode, of that mode.
    print(json.dumps({"program": f"PyTorch {torch.__version__}", "model": a.model, "batch": a.batch,
                      "threads": a.threads, "modes": modes,
                      "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
