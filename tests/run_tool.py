"""Running a tool of tools/ in this process, as its command line would, and its functions one by one."""

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / 'tools'


def run_tool(tool, *arguments) -> None:
    """Run a tool, named relative to tools/ or by its whole path; an exit code other than 0 is raised as SystemExit."""
    path = TOOLS / tool
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [str(path), *map(str, arguments)])
        patch.setattr(sys, 'path', [str(path.parent), *sys.path])
        try:
            runpy.run_path(str(path), run_name='__main__')
        except SystemExit as ended:
            if ended.code:
                raise


def load_tool(tool):
    """A tool as a module, named as for `run_tool`; its main is not run."""
    path = TOOLS / tool
    spec = importlib.util.spec_from_file_location(f'tool_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
