"""Print a config as a tool would run it: bases merged, options applied, paths filled in.

Example:
  python tools/misc/print_config.py configs/transunet/transunet_small_1xb8-4e_busi-96x96.py --fold 3 --dataset busbra
"""

from ultrarefiner.apis.cli import add_config_arguments, one_message, run_options, run_tool, tool_parser
from ultrarefiner.apis.config import load_config


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config file')
    add_config_arguments(parser)
    args = parser.parse_args()
    with one_message():
        print(load_config(args.config, run_options(args)).pretty_text)


if __name__ == '__main__':
    run_tool(main)
