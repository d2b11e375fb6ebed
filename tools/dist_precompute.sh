#!/usr/bin/env bash
# Fill an embedding cache with several GPUs (or CPU processes) of one machine.
# Usage: tools/dist_precompute.sh CONFIG PROCESSES [arguments of tools/precompute_embeddings.py]
# Several machines that share the folder: set NNODES, NODE_RANK, MASTER_ADDR and PORT on each.
set -euo pipefail
CONFIG=$1
PROCESSES=$2
python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$PROCESSES" \
    "$(dirname "$0")/precompute_embeddings.py" "$CONFIG" --launcher pytorch "${@:3}"
