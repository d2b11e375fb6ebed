"""Convert an archive called BUS, a folder or a .zip file: finds out whether it is UDIAT Dataset B or BUSIS."""

import sys

from ultrarefiner.data_preparation.command_line import main
from ultrarefiner.data_preparation.converters import BUSConverter

if __name__ == '__main__':
    sys.exit(main(__doc__, BUSConverter))
