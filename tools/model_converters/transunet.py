"""Turn a checkpoint of the original TransUNet code into one for mmseg's EncoderDecoder with TransUNet's parts.

Give the EncoderDecoder init_cfg=dict(type='Pretrained', checkpoint='transunet.pth') and its backbone init_cfg=None.

Example:
  python tools/model_converters/transunet.py epoch_149.pth checkpoints/transunet.pth
"""

import argparse
from pathlib import Path

import torch

from ultrarefiner.utils.command_line import one_message, run_tool, tool_parser
from ultrarefiner.utils.transunet_checkpoint import (
    convert_transunet_checkpoint,
    describe_transunet_checkpoint,
    read_transunet_checkpoint,
)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument('src', type=Path, help='checkpoint of github.com/Beckschen/TransUNet (a state dict)')
    parser.add_argument('dst', type=Path, help='file to write')
    parser.add_argument('--force', action='store_true', help='overwrite DST')
    parser.add_argument(
        '--block-units', type=int, nargs=3, default=(3, 4, 9), metavar='N', help='ResNet bottlenecks by stage (3 4 9)'
    )
    parser.add_argument('--num-layers', type=int, default=12, metavar='N', help='transformer blocks (12)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Convert one file."""
    args = parse_args(argv)
    with one_message():
        if args.dst.exists() and not args.force:
            raise FileExistsError(f'{args.dst} exists; give --force to overwrite it, or another name')
        original = read_transunet_checkpoint(args.src)
        try:
            converted = convert_transunet_checkpoint(original, tuple(args.block_units), args.num_layers)
        except ValueError as error:
            raise ValueError(f'{args.src}: {error}') from error
    meta = describe_transunet_checkpoint(original)
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=converted, meta=meta), args.dst)
    print(f'{args.dst}: {len(original)} entries read, {len(converted)} written; a config needs {meta}')


if __name__ == '__main__':
    run_tool(main)
