"""Train one phase of one fold.

Example:
  python tools/train.py configs/transunet/transunet_small_1xb8-4e_busi-96x96.py --fold 0 --data-dir data
"""

import torch

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import add_run_arguments, one_message, run_options, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.launch import build_runner, mark_finished, prepare_training


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint; without a value from the latest one in the work directory',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--no-validate', action='store_true', help='train without validating')
    add_run_arguments(parser)
    args = parser.parse_args()

    with one_message():
        cfg = load_config(args.config, run_options(args))
        if args.resume is not None:
            cfg.resume = True
            cfg.load_from = None if args.resume == 'auto' else args.resume
        if args.no_validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        if args.amp:
            use_amp(cfg)
        runner = build_runner(cfg, args.launcher)
        prepare_training(runner)
    runner.train()
    mark_finished(runner)


def use_amp(cfg) -> None:
    """Switch the optimizer wrapper to mmengine's AMP wrapper."""
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f"--amp works with optim_wrapper.type='OptimWrapper', the config has {kind!r}")
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('dtype', 'float16' if torch.cuda.is_available() else 'bfloat16')


if __name__ == '__main__':
    main()
