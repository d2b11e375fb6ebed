"""Convert an archive called BUS, a folder or a .zip file: finds out whether it is UDIAT Dataset B or BUSIS.

Example:
  python tools/dataset_converters/bus.py path/to/BUS data/bus
"""

from ultrarefiner.data_preparation.command_line import main
from ultrarefiner.data_preparation.converters import BUSConverter
from ultrarefiner.utils.command_line import run_tool

if __name__ == '__main__':
    run_tool(lambda: main(__doc__, BUSConverter))
