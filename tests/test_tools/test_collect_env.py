"""The environment that a bug report shows."""

import importlib.util
from importlib.metadata import version
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]


def test_it_names_our_packages_and_no_folder_of_the_user():
    spec = importlib.util.spec_from_file_location('collect_env', ROOT / 'tools' / 'misc' / 'collect_env.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    found = tool.environment()
    assert found['PyTorch'] == torch.__version__ and found['onedl-mmengine'] == version('onedl-mmengine')
    assert found['ultrarefiner'].endswith('configs of a checkout') and str(ROOT) not in str(found)
    assert 'mmcv-lite' not in found
