r"""Encode every image of a config once, into its embedding cache; training then never runs the image encoder.

Example:
  python tools/precompute_embeddings.py \
      configs/ultrarefiner/ultrarefiner_sam-small_soft-prompts_phase2-cached-1xb4-3e_busi-192x192.py --data-dir data
"""

import sys
import time

from mmengine.dist import is_main_process

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import add_run_arguments, one_message, run_options, run_tool, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.mixed_precision import add_amp_argument, amp_precision, autocast_testing, training_options
from ultrarefiner.apis.precompute import SUBSETS, Precompute
from ultrarefiner.utils.embedding_cache import NotKept


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config of phase 2 or 3')
    parser.add_argument('--subsets', nargs='+', choices=SUBSETS, default=SUBSETS, help='whose images; defaults to all')
    add_amp_argument(parser, 'train and test')
    add_run_arguments(parser)
    args = parser.parse_args()

    started = time.time()
    with one_message():
        cfg = load_config(args.config, {**run_options(args), **training_options(args.amp, args.config)})
        precision = amp_precision(args.amp)
        if precision is not None:
            autocast_testing(cfg, precision)
        job = Precompute(cfg, args.launcher, args.subsets)
    try:
        totals = job.run()
    except NotKept as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    if is_main_process():
        print(
            f'{totals.made} embeddings made, {totals.found} found, {totals.size / 2**20:.1f} MiB, '
            f'{time.time() - started:.0f} s: {job.cache.folder}'
        )


if __name__ == '__main__':
    run_tool(main, 'the same command goes on from here')
