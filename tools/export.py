r"""Write a trained model in a format for other programs: SAM's own file, ONNX, torch.export, or a package to hand on.

Example:
  python tools/export.py best.pth --format onnx --out exported
  then: python exported/onnx_pipeline.py exported image.png mask.png
  python tools/export.py best.pth --format package --half --out my-model --results results/test

Formats:
  sam               the refiner's SAM as a file for segment_anything.sam_model_registry, an adapter merged into it;
                    a folder for transformers where the refiner is one of its models
  onnx              a folder: coarse.onnx, image_encoder.onnx, decoder.onnx, pipeline.json, onnx_pipeline.py
  exported-program  a folder: the same three as programs of torch.export (.pt2), pipeline.json
  package           a folder: model.safetensors, config.py, meta.json, README.md (model card); every tool takes it
"""

import sys
from pathlib import Path

import torch

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.apis.export import model_card, write_exported_program, write_onnx, write_sam
from ultrarefiner.apis.init_model import init_model
from ultrarefiner.apis.model_package import write_package
from ultrarefiner.models.segmentors import CoarseToFine

FORMATS = ('sam', 'onnx', 'exported-program', 'package')


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('checkpoint', help='a best.pth, a package folder, a config with --weights, or a name')
    parser.add_argument('--format', required=True, choices=FORMATS, help='what to write')
    parser.add_argument('--out', required=True, type=Path, help='the file (sam) or folder to write')
    parser.add_argument('--weights', help='checkpoint of a config or a name')
    parser.add_argument('--coarse', help='checkpoint whose coarse network is taken, for one of phase 2')
    parser.add_argument(
        '--results', nargs='+', help='package: folders of tools/test.py --out, or their per_image.json, for the card'
    )
    parser.add_argument('--data-licence', metavar='TEXT', help='package: the terms of the training data')
    parser.add_argument(
        '--half', action='store_true', help='package: store weights in float16, half the size; they load as float32'
    )
    parser.add_argument('--force', action='store_true', help='replace an earlier export')
    args = parser.parse_args()
    for name in ('results', 'data_licence', 'half'):
        if getattr(args, name) and args.format != 'package':
            parser.error(f'--{name.replace("_", "-")} is for --format package')
    with one_message(), torch.no_grad():
        model = init_model(args.checkpoint, args.weights, args.coarse, device='cpu')
        for line in write(args, model):
            print(line)


def tell(line: str) -> None:
    """What is being written; each network can take minutes."""
    print(f'writing {line}', file=sys.stderr)


def write(args, model: CoarseToFine) -> list[str]:
    """Write the format that is asked for; give what the user has to know."""
    given = args.out, args.checkpoint, args.force
    if args.format == 'sam':
        return [f'{args.out}: written', *write_sam(model, *given)]
    if args.format == 'package':
        dtype = torch.float16 if args.half else torch.float32
        card = model_card(model, args.out.resolve().name, args.results or (), args.data_licence, dtype)
        write_package(model, args.out, card, args.force, dtype)
        todo = ['the terms of the data are not all known: give --data-licence TEXT, or edit its README.md']
        return [f'{args.out}: written; UltraRefinerInferencer and every tool take it', *todo * ('state it' in card)]
    if args.format == 'onnx':
        differences = write_onnx(model, *given, report=tell)
        use = f'python {args.out}/onnx_pipeline.py {args.out} IMAGE MASK.png'
    else:
        differences = write_exported_program(model, *given, report=tell)
        use = f"torch.export.load('{args.out}/coarse.pt2').module()(pixels), see pipeline.json"
    compared = ', '.join(f'{name} {value:.1e}' for name, value in differences.items())
    return [f'{args.out}: written; largest difference from PyTorch: {compared}', f'run it with: {use}']


if __name__ == '__main__':
    run_tool(main)
