"""Frames of the sample clips as raw pixels: face_CLIP.rgb holds count, height and width as int32, then 8-bit RGB.

CLIP_sampled: 40 frames spread over the clip; CLIP_run: 40 in a row. Without the clips nothing is written, and the tests
skip."""
import os
import sys

import cv2
import numpy as np

OUT = sys.argv[1]
DATA = os.path.join(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "likeness")
CLIPS = os.environ.get("LIKENESS_CLIPS") or os.path.join(DATA, "clips")
COUNT = 40


def save(name, frames):
    pixels = np.stack([cv2.cvtColor(f, cv2.COLOR_BGR2RGB) for f in frames])
    with open(f"{OUT}/face_{name}.rgb", "wb") as f:
        f.write(np.array(pixels.shape[:3], np.int32).tobytes())
        f.write(pixels.tobytes())


def main():
    for name in ["cap12_edit", "cap13_edit2", "franck"]:
        path = os.path.join(CLIPS, name + ".mp4")
        if not os.path.exists(path):
            print(f"no {path}: run 'tools/setup.sh clips'")
            return
        clip = cv2.VideoCapture(path)
        total = int(clip.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(np.linspace(5, total - 10, COUNT).astype(int))
        sampled, run = [], []
        for i in range(total):
            if not clip.grab():
                break
            if i in wanted or 200 <= i < 200 + COUNT:
                _, picture = clip.retrieve()
                if i in wanted:
                    sampled.append(picture)
                if 200 <= i < 200 + COUNT:
                    run.append(picture)
        save(name + "_sampled", sampled)
        save(name + "_run", run)


main()
