"""Turn a checkpoint of the original TransUNet code into one for mmseg's EncoderDecoder with TransUNet's parts."""

import argparse
import sys
from pathlib import Path

import torch

from ultrarefiner.utils.transunet_checkpoint import (
    convert_transunet_checkpoint,
    describe_transunet_checkpoint,
    read_transunet_checkpoint,
)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Example: python tools/model_converters/transunet.py epoch_149.pth checkpoints/transunet.pth. To use '
        "it, give the EncoderDecoder init_cfg=dict(type='Pretrained', checkpoint='checkpoints/transunet.pth') and its "
        'backbone init_cfg=None.',
    )
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
    if args.dst.exists() and not args.force:
        sys.exit(f'{args.dst} exists; give --force to overwrite it, or another name')
    try:
        original = read_transunet_checkpoint(args.src)
        converted = convert_transunet_checkpoint(original, tuple(args.block_units), args.num_layers)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'{args.src}: {error}' if str(args.src) not in str(error) else str(error))
    meta = describe_transunet_checkpoint(original)
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=converted, meta=meta), args.dst)
    print(f'{args.dst}: {len(original)} entries read, {len(converted)} written; a config needs {meta}')


if __name__ == '__main__':
    main()
