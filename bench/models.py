#!/usr/bin/python3
"""Every model on the sample clips after equal time: figures on unseen faces, and a sheet of what they draw.

    bench/models.py build/release/likeness --seconds 900 [--models h64,sae-df] [--src A.faces … --dst B.faces] [--out DIR]

On a quiet machine each model trains for --seconds. With --by-steps the shortest of each model's steps is measured first, and
it trains for as many iterations as fit into --seconds on a quiet machine: a busy one gives the same table, only later.
Goes on where it was stopped. Writes models.md, models.json and models.png into DIR (build/models)."""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
CLIPS = Path(os.environ.get("LIKENESS_CLIPS") or DATA / "likeness/clips")

# Name in the table: options of `train`, keys of bench_steps.
MODELS = {
    "quick": (["--model", "quick"], {"model": "quick"}),
    "h64": (["--model", "h64"], {"model": "h64"}),
    "h128": (["--model", "h128"], {"model": "h128"}),
    "df": (["--model", "df"], {"model": "df"}),
    "liae": (["--model", "liae"], {"model": "liae"}),
    "sae-df": (["--model", "sae", "--archi", "df"], {"model": "sae", "inner": "df"}),
    "sae-liae": (["--model", "sae", "--archi", "liae"], {"model": "sae", "inner": "liae"}),
}
ROWS, CELL, STEP = 4, 128, 130  # of the sheet; cells of previews of 128 pixels and less


def run(*words):
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, words))}")
    return done.stdout


def facesets(args):
    """Those that were given, or the sample clips', extracted once: src one man, dst another."""
    if args.src and args.dst:
        return args.src, args.dst
    sets = {}
    for name in ("cap12_edit", "cap13_edit2", "franck"):
        sets[name] = args.out / f"{name}.faces"
        if not sets[name].exists():
            run(args.likeness, "extract", CLIPS / f"{name}.mp4", "-o", sets[name], "--quiet")
    return [sets["cap12_edit"], sets["cap13_edit2"]], [sets["franck"]]


def shortest_step(args, keys):
    """Seconds of the fastest of some steps: what a step takes while nothing else runs. Measured once and kept in steps.json,
    which may be edited where a quieter machine told better."""
    path, program = args.out / "steps.json", Path(args.likeness).parent / "bench_steps"
    steps = json.loads(path.read_text()) if path.exists() else {}
    asked = json.dumps({**keys, "batch": args.batch, "seconds": args.measure})
    if asked not in steps:
        steps[asked] = json.loads(run(program, asked))["seconds_min"]
        path.write_text(json.dumps(steps, indent=2) + "\n")
    return steps[asked]


def train(args, name, src, dst, row):
    options, keys = MODELS[name]
    folder = args.out / name
    if args.by_steps:
        row["step_seconds"] = shortest_step(args, keys)
        end = ["--iterations", max(1, round(args.seconds / row["step_seconds"]))]
    else:
        done = json.loads(run(args.likeness, "model", "info", folder, "--json"))["seconds"] if (
            folder / "model.json").exists() else 0
        if args.seconds - done < 1:
            return
        end = ["--time", args.seconds - done]
    run(args.likeness, "train", folder, "--src", *src, "--dst", *dst, *options, *end, "--batch", args.batch, "--holdout", 5,
        "--seed", args.seed, *args.option, "--json")


def judge(args, name, src, dst, row):
    folder = args.out / name
    info = json.loads(run(args.likeness, "model", "info", folder, "--json"))
    row.update(iterations=info["iteration"], seconds=info["seconds"])
    row.update(json.loads(run(args.likeness, "evaluate", folder, "--src", *src, "--dst", *dst, "--max", args.max, "--sheet",
                              args.out / f"{name}.png", "--json")))


def table(rows, args):
    yield (f"{'Iterations that take' if args.by_steps else 'After'} {args.seconds:g} s of training on {os.cpu_count()} "
           f"processors, batch {args.batch}, on the 5 % of each video that no model saw.\n")
    yield ("| model | iterations | SSIM src / dst | PSNR src / dst, dB | mask IoU | like src (of real) | like dst (of real) | "
           "landmarks off, % (of real) | pose, ° | flicker |")
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for r in rows:
        src, dst = r["reconstruction"]["src"], r["reconstruction"]["dst"]
        who, kept = r["identity"], r["expression"]
        show = lambda v, n: "–" if v is None else f"{v:.{n}f}"
        yield (f"| `{r['model']}` | {r['iterations']:,} | {show(src['ssim'], 3)} / {show(dst['ssim'], 3)} | "
               f"{show(src['psnr'], 1)} / {show(dst['psnr'], 1)} | {show(dst['mask_iou'], 3)} | "
               f"{show(who['swap_src'], 3)} ({show(who['src_src'], 3)}) | {show(who['swap_dst'], 3)} "
               f"({show(who['src_dst'], 3)}) | {show(kept['landmarks_percent'], 1)} "
               f"({show(kept['landmarks_real_percent'], 1)}) | {show(kept['pose_degrees'], 1)} | "
               f"{show(r['steadiness']['flicker'], 2)} |")


def sheet(args, names):
    """A row for each model: dst and its swap, of the same faces, cut from the previews."""
    with tempfile.TemporaryDirectory() as work:
        strips = []
        for name in names:
            preview = args.out / name / "preview/preview.png"
            strip = Path(work) / f"{name}.png"
            cells = [f"[0]crop={CELL}:{CELL}:{column * STEP}:{row * STEP}[{row}_{column}]" for row in range(ROWS)
                     for column in (2, 4)]
            labels = "".join(f"[{row}_{column}]" for row in range(ROWS) for column in (2, 4))
            run("ffmpeg", "-v", "error", "-y", "-i", preview, "-filter_complex",
                ";".join(cells) + f";{labels}hstack=inputs={2 * ROWS}", strip)
            strips.append(strip)
        inputs = [w for s in strips for w in ("-i", s)]
        stack = ["-filter_complex", f"vstack=inputs={len(strips)}"] if len(strips) > 1 else []
        run("ffmpeg", "-v", "error", "-y", *inputs, *stack, args.out / "models.png")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("likeness", type=lambda s: Path(s).resolve())
    p.add_argument("--seconds", type=float, required=True, help="of training of each model")
    p.add_argument("--by-steps", action="store_true", help="iterations that take so long on a quiet machine")
    p.add_argument("--measure", type=float, default=10, help="with --by-steps: seconds for each model's step time")
    p.add_argument("--models", default=",".join(MODELS))
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--max", type=int, default=200, help="faces of each side that judge")
    p.add_argument("--option", action="append", default=[], metavar="--NAME=VALUE", help="another option of train; again and again")
    p.add_argument("--src", nargs="+", type=Path)
    p.add_argument("--dst", nargs="+", type=Path)
    p.add_argument("--out", type=Path, default=HERE.parent / "build/models")
    args = p.parse_args()
    names = args.models.split(",")
    for name in names:
        if name not in MODELS:
            p.error(f"there is no model '{name}': take {', '.join(MODELS)}")
    if bool(args.src) != bool(args.dst):
        p.error("--src and --dst go together")
    args.out.mkdir(parents=True, exist_ok=True)
    src, dst = facesets(args)
    rows = []
    for name in names:
        row = {"model": name}
        train(args, name, src, dst, row)
        judge(args, name, src, dst, row)
        rows.append(row)
        (args.out / "models.json").write_text(json.dumps(rows, indent=2) + "\n")
        (args.out / "models.md").write_text("\n".join(table(rows, args)) + "\n")
    sheet(args, names)
    print("\n".join(table(rows, args)))
    print(f"\n{args.out}/models.md, models.json, models.png: a row for each model, dst and its swap; NAME.png: its best and worst swaps")


main()
