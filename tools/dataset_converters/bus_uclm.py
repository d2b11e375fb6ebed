"""Convert the BUS-UCLM archive, a folder or a .zip file, into images and masks with a manifest and folds.

Example:
  python tools/dataset_converters/bus_uclm.py path/to/BUS-UCLM data/bus_uclm
"""

from ultrarefiner.data_preparation.command_line import main
from ultrarefiner.data_preparation.converters import BUSUCLMConverter
from ultrarefiner.utils.command_line import run_tool

if __name__ == '__main__':
    run_tool(lambda: main(__doc__, BUSUCLMConverter))
