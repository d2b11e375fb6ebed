"""Convert any dataset: a folder of images and one of masks, matched by name, or images with a COCO JSON file.

Example:
  python tools/dataset_converters/generic.py path/to/archive data/mine --images images --masks masks
  python tools/dataset_converters/generic.py path/to/archive data/mine --images images --coco instances.json
"""

import argparse

from ultrarefiner.data_preparation.command_line import make_parser, run
from ultrarefiner.data_preparation.converters import BaseConverter, CocoConverter, FolderConverter
from ultrarefiner.data_preparation.errors import DatasetError
from ultrarefiner.data_preparation.mask_rules import GreyValueMap, MaskRule
from ultrarefiner.utils.command_line import run_tool


def parse_mask_values(text: str) -> GreyValueMap:
    """A rule from text such as '255=1,128=0'; 0 is background unless said otherwise."""
    try:
        stated = {int(value): int(target) for value, target in (pair.split('=') for pair in text.split(','))}
    except ValueError as error:
        raise DatasetError(f'--mask-values {text!r}: expected VALUE=0 or VALUE=1, separated by commas.') from error
    return GreyValueMap({0: 0} | stated)


def make_converter(options: argparse.Namespace, rule: MaskRule | None) -> BaseConverter:
    """The converter that the options ask for."""
    name = options.name or options.source.stem
    if rule is not None and options.mask_values is not None:
        raise DatasetError('--mask-threshold and --mask-values exclude each other; give one.')
    if options.coco is not None:
        if rule is not None or options.mask_values is not None or options.masks or options.mask_ending:
            raise DatasetError('--coco has no mask files: leave out --masks, --mask-ending, --mask-values, -threshold.')
        return CocoConverter(name, options.coco, options.images, options.patient_pattern)
    if options.mask_values is not None:
        rule = parse_mask_values(options.mask_values)
    masks = options.masks or 'masks'
    return FolderConverter(name, options.images, masks, options.mask_ending, options.patient_pattern, rule)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('--name', help="name of the dataset (default: SRC's)")
    parser.add_argument('--images', default='images', help='folder of the images in SRC (default: images)')
    parser.add_argument('--masks', help='folder of the masks in SRC (default: masks)')
    parser.add_argument('--mask-ending', default='', help="what a mask's name has behind its image's, such as _mask")
    parser.add_argument('--mask-values', help='what grey values mean, such as 255=1,128=0 (default: 255=1)')
    parser.add_argument('--patient-pattern', help='regular expression that finds the patient in the path of an image')
    parser.add_argument('--coco', help='COCO JSON file in SRC, instead of a folder of masks')
    return run(parser, make_converter, argv)


if __name__ == '__main__':
    run_tool(main)
