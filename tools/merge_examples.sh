#!/bin/sh
# Small pictures of what each option of merging does to one frame: tools/merge_examples.sh LIKENESS MODEL_DIR INPUT B.faces FRAME OUT_DIR
# A model and faces come from `make demo`, for one; OUT_DIR/index.html shows all pictures.
set -eu

if [ $# -ne 6 ]; then
    echo "usage: $0 LIKENESS MODEL_DIR INPUT B.faces FRAME OUT_DIR" >&2
    exit 2
fi
likeness=$1 model=$2 input=$3 faces=$4 frame=$5 out=$6
mkdir -p "$out"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

index=$out/index.html
printf '<!doctype html><meta charset="utf-8"><title>Merging, by option</title>\n' >"$index"

picture() { # NAME OPTION…
    name=$1
    shift
    "$likeness" merge "$model" "$input" --faces "$faces" -o "$scratch/one" --folder --first "$frame" --max 1 --quiet "$@"
    mv "$scratch"/one/*.png "$out/$name.png"
    rm -rf "$scratch/one"
    printf '<figure style="display:inline-block"><img src="%s.png" width="360"><figcaption>%s</figcaption></figure>\n' \
        "$name" "$*" >>"$index"
}

for mode in overlay hist-match hist-match-bw seamless seamless-hist-match raw-face raw-face-mask raw-mask raw-prediction; do
    picture "mode-$mode" --mode "$mode"
done
for color in none rct mkl pca idt sot; do picture "color-$color" --color "$color"; done
for mask in predicted hull product; do picture "mask-$mask" --mask "$mask" --color none; done
for erode in -10 0 10; do picture "erode$erode" --erode "$erode"; done
for blur in 0 12 40; do picture "blur$blur" --blur "$blur"; done
for scale in -20 20; do picture "scale$scale" --scale "$scale"; done
for sharpen in -100 200; do picture "sharpen$sharpen" --sharpen "$sharpen"; done
picture motion-blur --motion-blur 200
picture grain --grain 100
picture super-resolution --super-resolution 100
picture denoise --denoise 100
picture bicubic --bicubic 60
picture color-degrade --color-degrade 100
echo "$index"
