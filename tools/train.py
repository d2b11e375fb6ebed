"""Train one phase of one fold.

Example:
  python tools/train.py configs/transunet/transunet_small_1xb8-4e_busi-96x96.py --fold 0 --data-dir data
"""

import torch
from mmengine.dist import is_main_process

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import add_run_arguments, one_message, run_options, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.launch import build_runner, prepare_training
from ultrarefiner.apis.training_cost import training_cost
from ultrarefiner.apis.training_record import check_work_dir, write_record
from ultrarefiner.engine.hooks.best_checkpoint_hook import leaves


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
    parser.add_argument('--amp', action='store_true', help='mixed precision in float16, on a GPU')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='train without validating; there is no best.pth then, only epoch_N.pth',
    )
    add_run_arguments(parser)
    args = parser.parse_args()

    with one_message():
        cfg = load_config(args.config, run_options(args))
        if args.resume is not None:
            cfg.resume = True
            cfg.load_from = None if args.resume == 'auto' else args.resume
        check_work_dir(cfg, resume=args.resume is not None)
        if args.no_validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        if args.amp:
            use_amp(cfg)
        runner = build_runner(cfg, args.launcher)
        prepare_training(runner)
        splits = {
            part.metainfo['dataset']: part.metainfo['split_sha256']
            for part in leaves(runner.train_loop.dataloader.dataset)
        }
    if is_main_process():
        write_record(cfg, splits, finished=False)
    runner.train()
    if is_main_process():
        write_record(cfg, splits, finished=True, cost=training_cost(runner))


def use_amp(cfg) -> None:
    """Switch the optimizer wrapper to mmengine's AMP wrapper."""
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(f"--amp works with optim_wrapper.type='OptimWrapper', the config has {kind!r}")
    if not torch.cuda.is_available():
        raise ValueError('--amp: mixed precision needs a GPU, and there is none; drop --amp')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.fingerprint += '+amp'


if __name__ == '__main__':
    main()
