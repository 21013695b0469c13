#!/usr/bin/env bash
# All that must hold before a change lands: format, a release build with warnings as errors and its tests, the same
# tests under AddressSanitizer and UBSan. Installs what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh test
tools/setup.sh clips

echo '== format'
git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror

# Two tests at a time: many of them wait for a process or compute on one thread. What Python computes is the same for both
# builds, and so are the values that it has written.
run_tests() { OMP_WAIT_POLICY=passive ctest --test-dir build/$1 -j2 --no-tests=error --output-on-failure "${@:2}"; }

echo '== release'
cmake --preset release >/dev/null
cmake --build build/release
build/release/likeness models install >/dev/null
run_tests release

echo '== asan'
cmake --preset asan -DLIKENESS_GOLDEN="$PWD/build/release/golden" >/dev/null
cmake --build build/asan
run_tests asan -E '^golden_' -FA '^golden_'
