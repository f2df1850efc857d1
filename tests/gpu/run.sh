#!/usr/bin/env bash
# What a GPU is worth here, and whether it answers as the processor does: bash tests/gpu/run.sh
# Needs no network and no simulator; with the simulator there, an evaluation on the GPU too. At most six minutes on one GPU.
# Without a GPU: one line, and exit code 0. `bash tests/gpu/run.sh device=cpu` runs every part in small on the processor, to test the tests.
# Figures go to $OUT/gpu.json, or to the terminal alone. PYTHON=… names another Python than .venv's.
set -eu
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || command -v python3)}
device=cuda
for word in "$@"; do
  case $word in
    device=cuda | device=cpu) device=${word#device=} ;;
    *) echo "$word: unknown; valid: device=cuda, device=cpu" >&2; exit 2 ;;
  esac
done
if [ "$device" = cuda ] && ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2> /dev/null; then
  echo 'gpu: skipped: torch sees no CUDA device here'
  exit 0
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
limit=() && [ "$device" = cpu ] || limit=(timeout 360)
exec "${limit[@]}" "$PYTHON" -m tests.gpu.parts "$device"
