"""Convert the BUS-UCLM archive, a folder or a .zip file, into images and masks with a manifest and folds."""

import sys

from ultrarefiner.data_preparation.command_line import main
from ultrarefiner.data_preparation.converters import BUSUCLMConverter

if __name__ == '__main__':
    sys.exit(main(__doc__, BUSUCLMConverter))
