"""Where the configs that come with the project lie: in a checkout, or inside the installed package."""

from pathlib import Path


def configs_root() -> Path:
    """The folder ``configs``, of the checkout where the package is used from one, else inside the installed package.

    What configs and metafiles name by a relative path lies beside it.

    Raises:
        FileNotFoundError: If there is none; the package was copied without it.
    """
    package = Path(__file__).resolve().parents[1]
    # A wheel has them in .mim, where mmengine looks for 'ultrarefiner::...'; a checkout has a link there, or, on a
    # system without links, a file.
    for root in (package / '.mim' / 'configs', package.parent / 'configs'):
        if root.is_dir():
            return root.resolve()
    raise FileNotFoundError(
        f'{package} has no configs beside it or in .mim/configs; install the project again: pip install . in a checkout'
    )
