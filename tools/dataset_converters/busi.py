"""Convert the BUSI archive, a folder or a .zip file, into images and masks with a manifest and folds.

Example:
  python tools/dataset_converters/busi.py path/to/Dataset_BUSI_with_GT data/busi
"""

from ultrarefiner.data_preparation.command_line import main
from ultrarefiner.data_preparation.converters import BUSIConverter
from ultrarefiner.utils.command_line import run_tool

if __name__ == '__main__':
    run_tool(lambda: main(__doc__, BUSIConverter))
