r"""Write the SAM of a trained model as a plain file that segment_anything reads, with an adapter merged into it.

Example:
  python tools/model_converters/sam.py \
      configs/ultrarefiner/ultrarefiner_medsam-b-lora-r4_method-prompts_phase2-1xb4-100e_bus5-1024x1024.py \
      checkpoints/sam_finetuned/fold_0/best.pth sam_refined.pth
  then: segment_anything.sam_model_registry['vit_b'](checkpoint='sam_refined.pth')
"""

from pathlib import Path

import torch

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import add_config_arguments, one_message, run_options, run_tool, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.apis.launch import load_whole_model
from ultrarefiner.apis.model import build_model
from ultrarefiner.models.refiners import SAMRefiner
from ultrarefiner.utils.checkpoint import read_checkpoint


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config of phase 2 or 3 that the checkpoint was trained with')
    parser.add_argument('checkpoint', help='checkpoint that the config was trained to')
    parser.add_argument('dst', type=Path, help='file to write')
    parser.add_argument('--force', action='store_true', help='overwrite DST')
    add_config_arguments(parser)
    args = parser.parse_args()
    with one_message():
        if args.dst.exists() and not args.force:
            raise FileExistsError(f'{args.dst} exists; give --force to overwrite it, or another name')
        model = build_model(load_config(args.config, run_options(args)))
        load_whole_model(model, read_checkpoint(args.checkpoint, 'train first'), args.checkpoint)
        refiner = sam_of(model, args.config)
        state = refiner.plain_state_dict()
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, args.dst)
    print(
        f'{args.dst}: {sum(value.numel() for value in state.values()):,} parameters, {refiner.architecture}; '
        f'its images have to be prepared as {refiner.input_profile}'
    )


def sam_of(model: torch.nn.Module, config: str) -> SAMRefiner:
    """The SAM among the refiner and what it wraps."""
    found = [part for part in model.modules() if isinstance(part, SAMRefiner)]
    if len(found) != 1:
        raise ValueError(f'{config}: the model has {len(found)} SAMRefiner, expected one, alone or in a wrapper')
    return found[0]


if __name__ == '__main__':
    run_tool(main)
