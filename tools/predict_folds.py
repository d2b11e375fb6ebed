"""Predict every training image with the phase-1 model of the fold that did not see it.

Writes {out_dir}/predictions/{dataset}/predictions/{name}.npy and proof.json beside it.

Example:
  python tools/predict_folds.py configs/transunet/transunet_small_1xb8-4e_busi-96x96.py --data-dir data
"""

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import add_config_arguments, one_message, run_options, run_tool, tool_parser
from ultrarefiner.apis.mixed_precision import add_amp_argument, amp_precision
from ultrarefiner.apis.out_of_fold import predict_folds


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config of phase 1')
    parser.add_argument('--overwrite', action='store_true', help='replace earlier predictions')
    add_amp_argument(parser, 'predict')
    add_config_arguments(parser)
    args = parser.parse_args()
    with one_message():
        if args.fold is not None:
            raise ValueError('predict_folds.py predicts all folds; drop --fold')
        folder = predict_folds(args.config, run_options(args), args.overwrite, amp_precision(args.amp))
    print(f'{len(list(folder.glob("*.npy")))} out-of-fold predictions in {folder}')


if __name__ == '__main__':
    run_tool(main)
