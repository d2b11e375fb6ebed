"""Packaging. `pip install .` gives the package; configs and tools are used from a checkout."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent


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
    python_requires='>=3.10',
    install_requires=requirements('runtime'),
    extras_require={'tests': requirements('tests'), 'optional': requirements('optional')},
)
