#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: builds nn alone, tests it against PyTorch and the processor, measures it beside PyTorch,
# prints one table. Within 8 minutes; what takes longer than its share is cut off and says so.
#
#     bench/gpu.sh [all|build|test|sanitize|bench|memory|precision] [OUT_FOLDER]
#
# Needs nvcc, CMake, Ninja, gcc and a python3 with PyTorch; cuDNN and cuBLASLt are taken from CUDA or from PyTorch's wheels.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
what=${1:-all}
out=${2:-build/gpu-results}
build=build/gpu
mkdir -p "$out"
failures=0
export LIKENESS_CACHE=$PWD/$build/cache

say() { printf '\n== %s (%d s)\n' "$1" $SECONDS; }
# part NAME LIMIT COMMAND…: its output goes to a log, of which the end is shown when it fails
part() {
  local name=$1 limit=$2 status
  shift 2
  timeout "$limit" "$@" >"$out/$name.log" 2>"$out/$name.err"
  status=$?
  [ $status = 0 ] && return 0
  if [ $status = 124 ]; then echo "$name: cut off after $limit s"; else echo "$name: failed ($status)"; fi
  tail -n 12 "$out/$name.log" "$out/$name.err"
  failures=$((failures + 1))
  return 1
}

# Where a wheel of NVIDIA's keeps include/ and lib/; nothing when it is not installed.
wheel() {
  python3 - "$1" <<'PYTHON' 2>/dev/null
import glob, importlib.util, os, sys
spec = importlib.util.find_spec("nvidia")
for root in spec.submodule_search_locations if spec else []:
    for header in sorted(glob.glob(os.path.join(root, "*", "include", sys.argv[1]))):
        print(os.path.dirname(os.path.dirname(header)))
        sys.exit()
PYTHON
}

# Libraries of the wheels, for what cuDNN itself loads.
wheel_libraries() {
  python3 - <<'PYTHON' 2>/dev/null
import glob, importlib.util, os
spec = importlib.util.find_spec("nvidia")
print(":".join(p for root in (spec.submodule_search_locations if spec else []) for p in glob.glob(os.path.join(root, "*", "lib"))))
PYTHON
}

configure() {
  local options=(-G Ninja -DLIKENESS_ONLY_NN=ON -DLIKENESS_CUDA=ON -DCMAKE_DISABLE_FIND_PACKAGE_MPI=ON
    "-DLIKENESS_PYTHON=$(command -v python3)") nvcc root
  nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
  root=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
  options+=("-DLIKENESS_NVCC=$nvcc" "-DLIKENESS_CUDA_ROOT=$root")
  # One card is at hand: code for it alone.
  options+=("-DLIKENESS_CUDA_ARCHITECTURES=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)")
  if [ ! -e "$root/include/cudnn_backend.h" ] && [ ! -e /usr/include/cudnn_backend.h ]; then
    LD_LIBRARY_PATH=$(wheel_libraries)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
    options+=("-DLIKENESS_CUDNN_ROOT=$(wheel cudnn_backend.h)")
  fi
  [ -e "$root/include/cublasLt.h" ] || options+=("-DLIKENESS_CUBLAS_ROOT=$(wheel cublasLt.h)")
  cmake -S . -B $build "${options[@]}"
}

do_build() {
  say 'build'
  if ! configure >"$out/configure.log" 2>&1; then
    tail -n 30 "$out/configure.log"
    failures=$((failures + 1))
    return 1
  fi
  part build 150 cmake --build $build || return 1
}

do_test() {
  say 'operators and steps'
  rm -rf "$LIKENESS_CACHE"
  local start=$SECONDS first
  part ops 60 $build/tests/nn_test_ops_gpu
  first=$((SECONDS - start))
  part ops-again 60 $build/tests/nn_test_ops_gpu
  echo "operators: $first s with layers timed, $((SECONDS - start - first)) s with what was chosen kept:"
  cat "$LIKENESS_CACHE"/gpu-layers-*.txt | sed -n 's/^[0-9-].*> \([a-z]*\).*/\1/p' | sort | uniq -c
  grep -E '^ok|OK|relative|case' "$out/ops.log" | head -40
  part device 20 $build/tests/nn_test_device && cat "$out/device.log"
  part samples 30 $build/tests/nn_samples_gpu
  LIKENESS_GPU_TRIALS=1 part steps 110 $build/tests/nn_steps_gpu
  grep -h steps "$out/steps.log"
  LIKENESS_GPU_TRIALS=1 part fused 30 $build/tests/nn_fused_gpu && grep -h apart "$out/fused.log"
  part factored 20 $build/tests/nn_test_factored_gpu
  part moments 30 $build/tests/nn_moments_gpu && grep -h states "$out/moments.log"
}

do_sanitize() {
  say 'compute-sanitizer'
  local tool
  tool=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
  if [ -z "$tool" ]; then echo 'compute-sanitizer is not installed'; return; fi
  # What is timed under it counts for nothing else.
  LIKENESS_CACHE=$LIKENESS_CACHE-sanitize part sanitize 90 "$tool" --error-exitcode 9 $build/tests/nn_test_ops_gpu && tail -n 1 "$out/sanitize.log"
}

number() { grep -oE "[0-9.]+ $1" "$2" 2>/dev/null | head -1 | cut -d' ' -f1; }

# row NAME OURS… -- THEIRS…
row() {
  local name=$1 ours=() key
  key=$(tr -c 'a-zA-Z0-9\n' - <<<"$name")
  shift
  while [ "$1" != -- ]; do ours+=("$1"); shift; done
  shift
  part "ours-$key" 60 $build/gpu_steps "${ours[@]}" full 0 profile
  part "torch-$key" 90 python3 bench/torch_gpu.py "$@" ||
    part "torch-$key" 60 python3 bench/torch_gpu.py "$@" --eager
  local a="$out/ours-$key.log" b="$out/torch-$key.log"
  python3 - "$name" "$peak" "$(number steps/s "$a")" "$(number MiB "$a")" "$(number TFLOP/s "$a")" \
    "$(number plain "$a")" "$(number steps/s "$b")" "$(number MiB "$b")" >>"$out/table.txt" <<'PYTHON'
import sys
name, peak, *numbers = sys.argv[1:]
peak, ours, memory, flops, plain, theirs, their_memory = [float(v) if v else float("nan") for v in (peak, *numbers)]
print(f"{name:34s} {ours:9.2f} {theirs:9.2f} {ours / theirs:6.2f} {memory:9.0f} {their_memory:9.0f} "
      f"{memory / their_memory:6.2f} {flops:8.1f} {100 * flops / peak:6.1f} {plain:6.0f}")
PYTHON
}

do_bench() {
  say 'steps beside PyTorch'
  part peak 60 python3 bench/torch_gpu.py peak
  peak=$(cat "$out/peak.log")
  {
    nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
    echo "measured bfloat16 matrix peak: $peak TFLOP/s"
    printf '%-34s %9s %9s %6s %9s %9s %6s %8s %6s %6s\n' model 'steps/s' PyTorch ratio MiB PyTorch ratio TFLOP/s '% peak' plain
  } >"$out/table.txt"
  row 'H64, batch 32' h64 df 0 0 0 32 bf16 50 -- h64 32
  row 'SAE df 128/512/42, batch 16' sae df 128 512 42 16 bf16 50 -- sae-128-512-42 16
  row 'SAE liae 256/512/64, batch 8' sae liae 256 512 64 8 bf16 30 -- saeliae-256-512-64 8
  cat "$out/table.txt"
  echo
  for log in "$out"/ours-*.log; do
    echo "$(basename "$log" .log): draws $(number samples/s "$log") samples/s, $(number times "$log") times what its steps take"
  done
  echo
  grep -hE ': plain' "$out"/ours-*.err | sort | uniq -c | sort -rn | head -12
}

# within NAME MOST OURS…: what the device has in use while such a model trains, in MiB, and what it may be
within() {
  local name=$1 most=$2 key
  key=$(tr -c 'a-zA-Z0-9\n' - <<<"$name")
  shift 2
  part "within-$key" 60 $build/gpu_steps "$@" || return
  printf '%-34s %6s MiB of %s, %s steps/s\n' "$name" "$(number MiB "$out/within-$key.log")" "$most" \
    "$(number steps/s "$out/within-$key.log")"
}

do_memory() {
  say 'within small cards'
  within 'SAE df 12/698/51' 4096 sae df 128 698 51 12 bf16 5 full 3400
  within 'SAE df 8/1024/85' 11264 sae df 128 1024 85 8 bf16 5 full 10240
  within 'SAE df 8/1024/85, short' 6144 sae df 128 1024 85 8 bf16 5 short 5300
  within 'SAE df 1/1024/85' 4096 sae df 128 1024 85 1 bf16 5 host 3400
}

# One model in every precision that the card has; not part of all.
do_precision() {
  say 'precisions: SAE df 128/512/42, batch 16'
  local numbers
  for numbers in f32 tf32 bf16 f16; do
    part "precision-$numbers" 60 $build/gpu_steps sae df 128 512 42 16 $numbers 20 full 0 || continue
    printf '%-5s %s\n' "$numbers" "$(cat "$out/precision-$numbers.log")"
    grep -h 'is not for' "$out/precision-$numbers.err"
  done
}

case $what in
all)
  do_build && { do_test; do_bench; do_memory; [ $SECONDS -gt 390 ] || do_sanitize; }
  ;;
build) do_build ;;
test) do_test ;;
sanitize) do_sanitize ;;
bench) do_bench ;;
memory) do_memory ;;
precision) do_precision ;;
*)
  echo 'usage: bench/gpu.sh [all|build|test|sanitize|bench|memory|precision] [OUT_FOLDER]' >&2
  exit 2
  ;;
esac
say "done, $failures failed"
[ $failures = 0 ]
