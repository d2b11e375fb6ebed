"""Convert the BUS-BRA archive, a folder or a .zip file, into images and masks with a manifest and folds.

Example:
  python tools/dataset_converters/busbra.py path/to/BUSBRA data/busbra
"""

from ultrarefiner.data_preparation.command_line import main
from ultrarefiner.data_preparation.converters import BUSBRAConverter
from ultrarefiner.utils.command_line import run_tool

if __name__ == '__main__':
    run_tool(lambda: main(__doc__, BUSBRAConverter))
