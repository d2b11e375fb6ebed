"""Print what a bug report needs: system, Python, GPUs, and the versions of the packages that this one works with.

Example:
  python tools/misc/collect_env.py
"""

from importlib.metadata import PackageNotFoundError, requires, version

from mmengine.utils.dl_utils import collect_env
from packaging.requirements import Requirement

from ultrarefiner import __version__
from ultrarefiner.utils.command_line import one_message, run_tool, tool_parser
from ultrarefiner.utils.project_files import configs_root

# Of the other line of the OpenMMLab packages, which must not be installed beside ours.
UNWANTED = ('mmengine', 'mmcv', 'mmcv-lite', 'mmsegmentation')


def main() -> None:
    """Entry point."""
    tool_parser(__doc__).parse_args()
    with one_message():
        for name, value in environment().items():
            print(f'{name}: {value}')


def environment() -> dict[str, str]:
    """What there is, by name."""
    found = {name: str(value).strip() for name, value in collect_env().items() if name != 'numpy_random_seed'}
    packages = sorted({Requirement(line).name.lower() for line in requires('ultrarefiner') or ()})
    found.update({name: _version(name) for name in packages if _version(name)})
    found.update({name: f'{_version(name)}, which must not be installed here' for name in UNWANTED if _version(name)})
    place = 'inside the package' if configs_root().parent.name == '.mim' else 'of a checkout'
    return {'ultrarefiner': f'{__version__}, configs {place}', **found}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ''


if __name__ == '__main__':
    run_tool(main)
