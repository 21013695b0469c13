#!/usr/bin/python3
"""Does it cost quality to multiply bfloat16, or to keep Adam's states short or factored? The same training from several seeds
in each of these ways, judged on the same faces that none has seen; and whether a way's mean lies within what seeds do to
float32.

    bench/seeds.py build/release/likeness --src A.faces --dst B.faces [--seeds 5] [--iterations 3000] [--out DIR]

As many trainings run side by side as there are processors, each on one, which takes less time in all than one after the other.
Goes on where it was stopped. Writes seeds.md and seeds.json into DIR (build/seeds); status 1 when a figure lies outside."""
import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
WAYS = {
    "float32": ["--precision", "float32"],
    "bfloat16": ["--precision", "bfloat16"],
    "bfloat16, short states": ["--precision", "bfloat16", "--optimizer-memory", "short"],
    "bfloat16, factored states": ["--precision", "bfloat16", "--optimizer-memory", "factored"],
}
FIGURES = {"src_ssim": "SSIM src", "dst_ssim": "SSIM dst", "src_psnr": "PSNR src", "dst_psnr": "PSNR dst",
           "swap_src": "like src", "landmarks_percent": "landmarks off, %", "flicker": "flicker"}


def judged(folder, iterations):
    """The figures at the end of a training; None: it has not come so far."""
    path = folder / "evaluation.csv"
    if not path.exists():
        return None
    with open(path) as f:
        rows = [r for r in csv.DictReader(f) if int(r["iteration"]) == iterations]
    return {k: float(v) for k, v in rows[-1].items() if v} if rows else None


def train(args, way, seed):
    folder = args.out / f"{way.replace(', ', '-').replace(' ', '-')}-{seed}"
    if judged(folder, args.iterations) is None:
        words = [args.likeness, "train", folder, "--src", *args.src, "--dst", *args.dst, "--model", args.model, "--batch",
                 args.batch, "--holdout", 5, "--seed", seed, "--evaluate-every", args.iterations, "--iterations",
                 args.iterations, "--threads", 1, "--json", *WAYS[way]]
        if subprocess.run([str(w) for w in words], stdout=subprocess.DEVNULL).returncode != 0:
            raise RuntimeError(f"failed: {' '.join(map(str, words))}")
    return judged(folder, args.iterations)


def table(rows, args):
    """Lines of the table, and how many means lie outside."""
    lines = [f"`{args.model}`, batch {args.batch}, {args.iterations:,} iterations, {args.seeds} seeds: mean (least to most).\n",
             "| | " + " | ".join(FIGURES.values()) + " |", "| --- |" + " --- |" * len(FIGURES)]
    outside = 0
    for way in WAYS:
        cells = []
        for figure in FIGURES:
            own, exact = ([r[figure] for r in rows[w]] for w in (way, "float32"))
            mean = statistics.mean(own)
            inside = min(exact) <= mean <= max(exact)
            outside += not inside
            cells.append(f"{mean:.3f} ({min(own):.3f} to {max(own):.3f}){'' if inside else ' outside'}")
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return lines, outside


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("likeness", type=lambda s: Path(s).resolve())
    p.add_argument("--src", nargs="+", type=Path, required=True)
    p.add_argument("--dst", nargs="+", type=Path, required=True)
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--iterations", type=int, default=3000)
    p.add_argument("--model", default="quick")
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--out", type=Path, default=HERE.parent / "build/seeds")
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    # A seed of each way, then the next: what is there early can be compared.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(way, pool.submit(train, args, way, seed)) for seed in range(1, args.seeds + 1) for way in WAYS]
        try:
            rows = {way: [j.result() for w, j in jobs if w == way] for way in WAYS}
        except RuntimeError as e:
            pool.shutdown(cancel_futures=True)
            sys.exit(str(e))
    lines, outside = table(rows, args)
    (args.out / "seeds.json").write_text(json.dumps(rows, indent=2) + "\n")
    (args.out / "seeds.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    sys.exit(1 if outside else 0)


main()
