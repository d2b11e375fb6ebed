r"""Test a model on the held-out test set, at the original size of every image.

A checkpoint, a package or a name of the models that come with the project is tested on the test images of --dataset.
A config with a checkpoint is tested as the config says.

Example:
  python tools/test.py ultrarefiner-small-bus --dataset busi --data-dir data --out results_of_the_shipped_model
  python tools/test.py checkpoints/ultrarefiner/busi/fold_0/best.pth --dataset busi --data-dir data --out results
  python tools/test.py checkpoints/sam_finetuned/fold_0/best.pth \
      --coarse checkpoints/transunet/busi/fold_0/best.pth --dataset busi --data-dir data --out results_of_phase_2
  python tools/test.py \
      configs/ultrarefiner/ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192.py \
      checkpoints/ultrarefiner/busi/fold_0/best.pth --data-dir data --out results --show-dir results/pictures
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import add_run_arguments, one_message, output_held, run_options, run_tool, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.held_out_test import open_test
from ultrarefiner.apis.inference.prediction_writer import SETTINGS
from ultrarefiner.apis.launch import build_runner, prepare_testing
from ultrarefiner.apis.mixed_precision import add_amp_argument, amp_precision, autocast_testing
from ultrarefiner.apis.model_zoo import find_model, list_models


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('model', help='a checkpoint (best.pth), a package folder, a name, or a config')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint of a config, or of a name that has no weights')
    parser.add_argument('--coarse', help='checkpoint of phase 1 for a checkpoint of phase 2')
    parser.add_argument('--out', help='folder for per_image.csv, masks/, coarse/ and prompts/')
    parser.add_argument(
        '--show-dir', help='folder for one picture of every image: ground truth, coarse, prompts, refined'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace the results of an earlier test in --out')
    add_amp_argument(parser, 'test')
    add_run_arguments(parser)
    args = parser.parse_args()

    with one_message(), output_held():
        if args.out:
            check_results(Path(args.out), args.overwrite)
        cfg, prepare = what_to_test(args)
        precision = amp_precision(args.amp)
        if precision is not None:
            autocast_testing(cfg, precision)
        evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]
        for evaluator in evaluators:
            if args.out and evaluator.type == 'RefinementMetric':
                evaluator.csv_path = str(Path(args.out) / 'per_image.csv')
                evaluator.stage_dir = args.out
                evaluator.notes = dict(
                    guarded='GuardedRefiner' in refiner_types(cfg.model.get('refiner')),
                    precision=precision or 'float32',
                )
        if args.show_dir:
            cfg.default_hooks.visualization.show_dir = args.show_dir
        runner = build_runner(cfg, args.launcher)
        prepare(runner)
    runner.test()


def what_to_test(args) -> tuple[Config, Callable[[Runner], None]]:
    """The config of the test, and what fills its Runner and checks it: the model's own, or the one that is given."""
    options = run_options(args)
    name = args.model in list_models()
    if args.coarse or not (name or args.model.endswith('.py')) or (name and args.checkpoint is None):
        test = open_test(args.model, args.checkpoint, args.coarse, options)
        return test.cfg, test.prepare
    if args.checkpoint is None:
        raise ValueError(f'{args.model} is a config: give the checkpoint that it was trained to after it')
    cfg = load_config(find_model(args.model).config if name else args.model, options)
    if args.work_dir is None:
        cfg.work_dir = str(Path(cfg.work_dir) / 'test')
    cfg.load_from = args.checkpoint
    return cfg, partial(prepare_testing, checkpoint=args.checkpoint)


def check_results(folder: Path, overwrite: bool) -> None:
    """Refuse a folder with results of a test, unless they may be replaced, or of something else.

    Raises:
        FileExistsError: If there are some.
    """
    if (folder / SETTINGS).exists():
        raise FileExistsError(f'{folder} has results of tools/predict.py; choose another --out')
    if (folder / 'per_image.json').exists() and not overwrite:
        raise FileExistsError(f'{folder} has the results of a test; choose another --out, or --overwrite replaces them')


def refiner_types(refiner: dict | None) -> list[str]:
    """The type of a refiner, and of those that it holds."""
    return [] if refiner is None else [str(refiner.type), *refiner_types(refiner.get('refiner'))]


if __name__ == '__main__':
    run_tool(main)
