"""The environment that a bug report shows."""

from importlib.metadata import version
from pathlib import Path

import torch
from run_tool import load_tool

ROOT = Path(__file__).resolve().parents[2]


def test_it_names_our_packages_and_no_folder_of_the_user():
    tool = load_tool('misc/collect_env.py')
    found = tool.environment()
    assert found['PyTorch'] == torch.__version__ and found['onedl-mmengine'] == version('onedl-mmengine')
    assert found['ultrarefiner'].endswith('configs of a checkout') and str(ROOT) not in str(found)
    assert 'mmcv-lite' not in found
