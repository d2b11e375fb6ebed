"""Packaging: `pip install .` puts configs and tools into the package, an editable install reads the checkout."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
# What a package has beside it in a checkout and takes along into a wheel, in the folder where mmengine looks for it.
SHIPPED = ('configs', 'tools', 'model_zoo')
SHIPPED_TO = Path('ultrarefiner', '.mim')


class BuildWithConfigs(build_py):
    """Copies what is in `SHIPPED` into the package that is built."""

    def run(self) -> None:
        """Copy the modules, then the folders."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / SHIPPED_TO
        # What an earlier build left there may be gone from the checkout.
        shutil.rmtree(target, ignore_errors=True)
        for name in SHIPPED:
            if (HERE / name).is_dir():
                shutil.copytree(HERE / name, target / name, ignore=shutil.ignore_patterns('__pycache__', '.*'))
        shutil.copy2(HERE / SHIPPED_TO / 'model-index.yml', target)


def requirements(name: str) -> list[str]:
    """The lines of a requirements file that name a package."""
    lines = (HERE / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith('#')]


setup(
    name='ultrarefiner',
    version=re.search(r"__version__ = '(.+)'", (HERE / 'ultrarefiner' / '__init__.py').read_text()).group(1),
    description='Coarse-to-fine segmentation of medical images: any coarse network, differentiable prompts, SAM',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    packages=find_packages(include=['ultrarefiner', 'ultrarefiner.*']),
    package_data={'ultrarefiner': ['**/*.css', '**/*.html', '**/*.js']},
    cmdclass={'build_py': BuildWithConfigs},
    python_requires='>=3.10',
    install_requires=requirements('runtime'),
    extras_require={name: requirements(name) for name in ('dev', 'export', 'optional', 'tests', 'web')},
)
