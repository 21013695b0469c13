#!/usr/bin/env bash
# All that must hold before a change lands: format, a release build with warnings as errors and its tests, the same
# tests under AddressSanitizer and UBSan. Installs what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh test
tools/setup.sh clips

echo '== format'
git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror

for preset in release asan; do
  echo "== $preset"
  cmake --preset $preset >/dev/null
  cmake --build build/$preset
  [ $preset = asan ] || build/release/likeness models install >/dev/null
  OMP_WAIT_POLICY=passive ctest --test-dir build/$preset --no-tests=error --output-on-failure
done
