"""Train one phase of one fold.

Example:
  python tools/train.py configs/transunet/transunet_small_1xb8-4e_busi-96x96.py --fold 0 --data-dir data
"""

from mmengine.dist import is_main_process

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import add_run_arguments, one_message, output_held, run_options, run_tool, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.launch import build_runner, prepare_training
from ultrarefiner.apis.mixed_precision import add_amp_argument, training_options
from ultrarefiner.apis.training_cost import training_cost
from ultrarefiner.apis.training_record import check_work_dir, write_record
from ultrarefiner.engine.hooks.best_checkpoint_hook import leaves
from ultrarefiner.utils.precision import precision_of


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
    add_amp_argument(parser, 'train')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='train without validating; there is no best.pth then, only epoch_N.pth',
    )
    add_run_arguments(parser)
    args = parser.parse_args()

    with one_message(), output_held():
        cfg = load_config(args.config, {**run_options(args), **training_options(args.amp, args.config)})
        if args.resume is not None:
            cfg.resume = True
            cfg.load_from = None if args.resume == 'auto' else args.resume
        check_work_dir(cfg, resume=args.resume is not None)
        if args.no_validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        runner = build_runner(cfg, args.launcher)
        prepare_training(runner)
        splits = {
            part.metainfo['dataset']: part.metainfo['split_sha256']
            for part in leaves(runner.train_loop.dataloader.dataset)
        }
    if is_main_process():
        write_record(cfg, splits, precision_of(runner.optim_wrapper), finished=False)
    runner.train()
    if is_main_process():
        write_record(cfg, splits, precision_of(runner.optim_wrapper), finished=True, cost=training_cost(runner))


if __name__ == '__main__':
    run_tool(main, '--resume goes on from the latest checkpoint')
