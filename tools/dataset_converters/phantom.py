"""Write speckled ultrasound-like images with known lesions in the layout of the BUSI archive, for busi.py.

Example:
  python tools/dataset_converters/phantom.py phantom --images 80
  python tools/dataset_converters/busi.py phantom data/busi
"""

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ultrarefiner.data_preparation.errors import DatasetError
from ultrarefiner.data_preparation.phantom import write_archive
from ultrarefiner.utils.command_line import USER_MISTAKE, run_tool, tool_parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument('destination', type=Path, metavar='DST', help='folder to write; absent or empty')
    parser.add_argument('--images', type=int, default=80, help='images in all (default: 80)')
    parser.add_argument('--seed', type=int, default=0, help='decides every pixel (default: 0)')
    options = parser.parse_args(argv)
    progress = Console(stderr=True)
    try:
        counts = write_archive(
            options.destination, options.images, options.seed, lambda jobs: track(jobs, 'phantoms', console=progress)
        )
    except DatasetError as error:
        print(f'error: {error}', file=sys.stderr)
        return USER_MISTAKE
    print(', '.join(f'{count} {label}' for label, count in sorted(counts.items())), f'written to {options.destination}')
    return 0


if __name__ == '__main__':
    run_tool(main)
