#!/usr/bin/python3
"""Does evaluation rank models as it must? One small model is trained to 2,000 iterations and judged at 1, 200 and 2,000; another
is trained with one faceset as src and dst. Says each figure and which are in order; status 1 when one is not.

    bench/ranking.py build/release/likeness --src A.faces --dst B.faces [--iterations 2000] [--out DIR]"""
import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Figures that must get better with training, and their sign. Steadiness and pose are best where nothing was learned yet: an
# untrained mask leaves dst's own face; dst's reconstruction and likeness to src cannot be had for nothing.
BETTER = {"src_ssim": 1, "dst_ssim": 1, "src_psnr": 1, "dst_psnr": 1, "src_mask_iou": 1, "dst_mask_iou": 1, "swap_src": 1}


def run(*words):
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, words))}")
    return done.stdout


def train(args, name, src, dst, iterations, every):
    folder = args.out / name
    run(args.likeness, "train", folder, "--src", src, "--dst", dst, "--model", "quick", "--ae-dims", 64, "--batch", args.batch,
        "--holdout", 5, "--evaluate-every", every, "--iterations", iterations, "--save-every", "1m", "--json")
    with open(folder / "evaluation.csv") as f:
        return [{k: float(v) if v else None for k, v in row.items()} for row in csv.DictReader(f)]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("likeness", type=lambda s: Path(s).resolve())
    p.add_argument("--src", type=Path, required=True)
    p.add_argument("--dst", type=Path, required=True)
    p.add_argument("--iterations", type=int, default=2000)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--out", type=Path, default=HERE.parent / "build/ranking")
    args = p.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    early = max(1, args.iterations // 10)
    untrained = train(args, "untrained", args.src, args.dst, 1, 1)[-1]
    rows = train(args, "model", args.src, args.dst, args.iterations, early)
    few, many = rows[0], rows[-1]
    wrong = 0
    print(f"{'':18}{'iteration 1':>12}{f'{early:,}':>10}{f'{args.iterations:,}':>10}")
    for name in many:
        if name in ("iteration", "seconds"):
            continue
        values = [r[name] for r in (untrained, few, many)]
        line = f"{name:22}" + "".join(f"{'-' if v is None else f'{v:.3f}':>10}" for v in values)
        if name in BETTER:
            right = all(BETTER[name] * (b - a) > 0 for a, b in zip(values, values[1:]))
            line += "   in order" if right else "   NOT IN ORDER"
            wrong += not right
        print(line)
    same = train(args, "same", args.src, args.src, args.iterations, args.iterations)[-1]
    share = same["swap_src"] / same["src_src"]
    print(f"src swapped with himself: {same['swap_src']:.3f} like src, whose real faces are {same['src_src']:.3f} like each other: "
          f"{share:.2f}")
    sys.exit(1 if wrong or share < 0.85 else 0)


main()
