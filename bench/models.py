#!/usr/bin/python3
"""Every model on the sample clips after equal time, by the recipe of 2019 and by today's: figures on unseen faces, how soon
today's recipe is as good as that of 2019 is at the end, and a sheet of what they draw.

    bench/models.py build/release/likeness --seconds 900 [--models h64,sae-df] [--recipes today] [--src A.faces … --dst B.faces]

Time is counted in steps: the shortest of each model's steps is measured first, and it trains for as many iterations as fit into
--seconds on a quiet machine. A busy machine gives the same table, only later; evaluations on the way cost no time. Goes on
where it was stopped. Writes models.md, models.json and models.png into DIR (build/models)."""
import argparse
import csv
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
    "sae-64": (["--model", "sae", "--resolution", 64], {"model": "sae", "inner": "df", "resolution": 64}),
    "sae-liae": (["--model", "sae", "--archi", "liae"], {"model": "sae", "inner": "liae"}),
}
USUAL = "quick,h64,h128,df,liae,sae-df,sae-liae"
# Options of `train`, batch. Both multiply in the same precision, which favours that of 2019: it says float32.
RECIPES = {"2019": (["--recipe", "classic", "--precision", "auto"], 8), "today": ([], 8)}
QUALITY = {"src_ssim": "SSIM of src", "dst_ssim": "SSIM of dst", "swap_src": "likeness to src"}
DRAWN = (1, 3, 4)  # columns of a preview: src and dst drawn again, the swap
ROWS, CELL, STEP = 3, 128, 130  # of the sheet; cells of previews of 128 pixels and less


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


def shortest_step(args, keys, batch):
    """Seconds of the fastest of some steps: what a step takes while nothing else runs. Measured once and kept in steps.json,
    which may be edited where a quieter machine told better."""
    path, program = args.out / "steps.json", Path(args.likeness).parent / "bench_steps"
    steps = json.loads(path.read_text()) if path.exists() else {}
    asked = json.dumps({**keys, "batch": batch, "seconds": args.measure})
    if asked not in steps:
        steps[asked] = json.loads(run(program, asked))["seconds_min"]
        path.write_text(json.dumps(steps, indent=2) + "\n")
    return steps[asked]


def train(args, row, src, dst):
    """All iterations that --seconds holds, judged --judge times on the way."""
    options, keys = MODELS[row["model"]]
    recipe, batch = RECIPES[row["recipe"]]
    row["step_seconds"] = shortest_step(args, keys, batch)
    every = max(1, round(args.seconds / row["step_seconds"] / args.judge))
    run(args.likeness, "train", row["folder"], "--src", *src, "--dst", *dst, *options, *recipe, "--batch", batch, "--holdout", 5,
        "--seed", args.seed, "--iterations", every * args.judge, "--evaluate-every", every, *args.option, "--json")


def judge(args, row, src, dst):
    row["iterations"] = json.loads(run(args.likeness, "model", "info", row["folder"], "--json"))["iteration"]
    with open(Path(row["folder"]) / "evaluation.csv") as f:
        row["evaluations"] = [{k: float(v) for k, v in r.items() if v} for r in csv.DictReader(f)]
    row.update(json.loads(run(args.likeness, "evaluate", row["folder"], "--src", *src, "--dst", *dst, "--max", args.max, "--sheet",
                              f"{row['folder']}.png", "--json")))


def reached(row, wanted):
    """Seconds until each of QUALITY was as good as at the end of the other training; None: never."""
    end = wanted["evaluations"][-1]
    for e in row["evaluations"]:
        if all(e.get(figure, -1) >= end[figure] for figure in QUALITY):
            return e["iteration"] * row["step_seconds"]
    return None


def table(rows, args):
    yield (f"Iterations that take {args.seconds:g} s on {os.cpu_count()} processors, on the 5 % of each video that no model saw. "
           f"As good: when {', '.join(QUALITY.values())} were those that 2019's recipe ends with.\n")
    yield ("| model | recipe, batch | iterations | SSIM src / dst | PSNR src / dst, dB | mask IoU | like src (of real) | like dst "
           "(of real) | landmarks off, % (of real) | pose, ° | flicker | as good after |")
    yield "| --- |" + " --- |" * 11
    for r in rows:
        src, dst = r["reconstruction"]["src"], r["reconstruction"]["dst"]
        who, kept = r["identity"], r["expression"]
        show = lambda v, n: "–" if v is None else f"{v:.{n}f}"
        old = [o for o in rows if o["model"] == r["model"] and o["recipe"] == "2019" and r is not o]
        soon = reached(r, old[0]) if old else None
        yield (f"| `{r['model']}` | {r['recipe']}, {RECIPES[r['recipe']][1]} | {r['iterations']:,} | "
               f"{show(src['ssim'], 3)} / {show(dst['ssim'], 3)} | "
               f"{show(src['psnr'], 1)} / {show(dst['psnr'], 1)} | {show(dst['mask_iou'], 3)} | "
               f"{show(who['swap_src'], 3)} ({show(who['src_src'], 3)}) | {show(who['swap_dst'], 3)} "
               f"({show(who['src_dst'], 3)}) | {show(kept['landmarks_percent'], 1)} "
               f"({show(kept['landmarks_real_percent'], 1)}) | {show(kept['pose_degrees'], 1)} | "
               f"{show(r['steadiness']['flicker'], 2)} | "
               f"{f'{soon:.0f} s, {soon / args.seconds:.2f}' if soon else '–' if not old else 'never'} |")


def sheet(args, rows):
    """A row for each training, of the same faces: src and dst drawn again, and the swap, cut from the previews."""
    with tempfile.TemporaryDirectory() as work:
        strips = []
        for r in rows:
            preview = Path(r["folder"]) / "preview/preview.png"
            strip = Path(work) / f"{len(strips)}.png"
            cells = [f"[0]crop={CELL}:{CELL}:{column * STEP}:{row * STEP}[{row}_{column}]" for row in range(ROWS)
                     for column in DRAWN]
            labels = "".join(f"[{row}_{column}]" for row in range(ROWS) for column in DRAWN)
            run("ffmpeg", "-v", "error", "-y", "-i", preview, "-filter_complex",
                ";".join(cells) + f";{labels}hstack=inputs={len(DRAWN) * ROWS}", strip)
            strips.append(strip)
        inputs = [w for s in strips for w in ("-i", s)]
        stack = ["-filter_complex", f"vstack=inputs={len(strips)}"] if len(strips) > 1 else []
        run("ffmpeg", "-v", "error", "-y", *inputs, *stack, args.out / "models.png")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("likeness", type=lambda s: Path(s).resolve())
    p.add_argument("--seconds", type=float, required=True, help="of training, by each model's step time")
    p.add_argument("--measure", type=int, default=10, help="seconds for measuring a model's step time")
    p.add_argument("--models", default=USUAL, help=f"of {', '.join(MODELS)}")
    p.add_argument("--recipes", default=",".join(RECIPES))
    p.add_argument("--judge", type=int, default=12, help="how often it is measured on the way")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--max", type=int, default=200, help="faces of each side that judge at the end")
    p.add_argument("--option", action="append", default=[], metavar="--NAME=VALUE", help="another option of train; again and again")
    p.add_argument("--src", nargs="+", type=Path)
    p.add_argument("--dst", nargs="+", type=Path)
    p.add_argument("--out", type=Path, default=HERE.parent / "build/models")
    args = p.parse_args()
    names, recipes = args.models.split(","), args.recipes.split(",")
    for name in names:
        if name not in MODELS:
            p.error(f"there is no model '{name}': take {', '.join(MODELS)}")
    for recipe in recipes:
        if recipe not in RECIPES:
            p.error(f"there is no recipe '{recipe}': take {', '.join(RECIPES)}")
    if bool(args.src) != bool(args.dst):
        p.error("--src and --dst go together")
    args.out.mkdir(parents=True, exist_ok=True)
    src, dst = facesets(args)
    rows = []
    for name in names:
        for recipe in recipes:
            row = {"model": name, "recipe": recipe, "folder": str(args.out / f"{name}-{recipe}")}
            train(args, row, src, dst)
            judge(args, row, src, dst)
            rows.append(row)
            (args.out / "models.json").write_text(json.dumps(rows, indent=2) + "\n")
            (args.out / "models.md").write_text("\n".join(table(rows, args)) + "\n")
    sheet(args, rows)
    print("\n".join(table(rows, args)))
    print(f"\n{args.out}/models.md, models.json, models.png: a row for each training, src and dst drawn again and the swap; MODEL-RECIPE.png: its best "
          "and worst swaps")


main()
