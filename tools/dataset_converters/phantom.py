"""Write speckled ultrasound-like images with known lesions in the layout of the BUSI archive, for busi.py."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import track

from ultrarefiner.data_preparation.errors import DatasetError
from ultrarefiner.data_preparation.phantom import write_archive


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
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
        return 1
    print(', '.join(f'{count} {label}' for label, count in sorted(counts.items())), f'written to {options.destination}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
