"""Print a config as a tool would run it: bases merged, options applied, paths filled in; or a part of it.

Example:
  python tools/misc/print_config.py configs/transunet/transunet_small_1xb8-4e_busi-96x96.py --fold 3 --dataset busbra
  python tools/misc/print_config.py configs/transunet/transunet_small_1xb8-4e_busi-96x96.py --key model.losses
  python tools/misc/print_config.py checkpoints/ultrarefiner/busi/fold_0/best.pth --key model.prompt_generator
"""

from mmengine.config import Config

from ultrarefiner.apis.cli import add_config_arguments, did_you_mean, one_message, run_options, run_tool, tool_parser
from ultrarefiner.apis.config_keys import is_set
from ultrarefiner.apis.model_config import read_model_config


def main() -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', metavar='CONFIG|CHECKPOINT', help='config, or a checkpoint, which carries its own')
    parser.add_argument('--key', help='print this part alone, such as model.refiner')
    add_config_arguments(parser)
    args = parser.parse_args()
    with one_message():
        cfg = read_model_config(args.config, run_options(args))
        text = cfg.pretty_text if args.key is None else part_of(cfg, args.key)
    print(text)


def part_of(cfg: Config, key: str) -> str:
    """The text of one dotted key.

    Raises:
        KeyError: If the config has no such key; the message names the nearest.
    """
    if not is_set(cfg, key, '--key'):
        *held, name = key.split('.')
        raise KeyError(f'--key {key}: not in the config{did_you_mean(name, _at(cfg, held))}')
    *_, name = key.split('.')
    value = _at(cfg, key.split('.'))
    return Config(dict([(name if name.isidentifier() else f'item_{name}', value)])).pretty_text.rstrip()


def _at(cfg: Config, names: list[str]):
    for name in names:
        cfg = cfg[int(name)] if isinstance(cfg, (list, tuple)) else cfg[name]
    return cfg


if __name__ == '__main__':
    run_tool(main)
