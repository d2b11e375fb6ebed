from setuptools import find_packages, setup

setup(name='ultrarefiner', version='0.1.0', packages=find_packages(include=['ultrarefiner*']), python_requires='>=3.10')
