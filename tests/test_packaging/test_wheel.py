"""A wheel holds configs, tools and models, and works without the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytest.importorskip('setuptools', '64')  # Python 3.12 and newer make environments without it.

ROOT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name('probe_wheel.py')
SHIPPED = ('configs', 'tools', 'model_zoo')


def run(*command, cwd):
    # What a shell sets for the checkout must not reach the installed package.
    environment = {key: value for key, value in os.environ.items() if not key.startswith('PYTHON')}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def names(folder: Path) -> set[str]:
    files = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return {path.as_posix() for path in files if '__pycache__' not in path.parts}


def test_a_build_holds_every_file_configs_tools_and_models(tmp_path):
    run(sys.executable, 'setup.py', '-q', 'build_py', '--build-lib', tmp_path, cwd=ROOT)
    package, inside = tmp_path / 'ultrarefiner', tmp_path / 'ultrarefiner' / '.mim'
    ours = {name for name in names(ROOT / 'ultrarefiner') if not name.startswith('.mim/')}
    assert {name for name in names(package) if not name.startswith('.mim/')} == ours
    for folder in SHIPPED:
        assert not (inside / folder).is_symlink()
        assert names(inside / folder) == names(ROOT / folder)
    assert 'Import: []' in (inside / 'model-index.yml').read_text()
    # A second build drops what is gone.
    (inside / 'configs' / 'stale.py').touch()
    run(sys.executable, 'setup.py', '-q', 'build_py', '--build-lib', tmp_path, cwd=ROOT)
    assert names(inside / 'configs') == names(ROOT / 'configs')


@pytest.mark.slow
def test_the_wheel_works_without_the_checkout(tmp_path):
    """The other packages are those of this environment; CI installs them too, and runs the same probe."""
    # A copy, as setuptools keeps what it builds beside setup.py, and packs it again the next time.
    for name in ('ultrarefiner', 'requirements', *SHIPPED):
        shutil.copytree(ROOT / name, tmp_path / 'source' / name, symlinks=True)
    for name in ('setup.py', 'pyproject.toml', 'README.md'):
        shutil.copy(ROOT / name, tmp_path / 'source')
    run(sys.executable, '-m', 'pip', 'wheel', '--no-deps', '-w', tmp_path, tmp_path / 'source', cwd=tmp_path)
    (wheel,) = tmp_path.glob('ultrarefiner-*.whl')
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(('tests', 'configs'))]
    run(sys.executable, '-m', 'venv', 'venv', cwd=tmp_path)
    python = tmp_path / 'venv' / 'bin' / 'python'
    site = run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))', cwd=tmp_path).strip()
    Path(site, 'others.pth').write_text(sysconfig.get_path('purelib'))
    run(python, '-m', 'pip', 'install', '--no-deps', '--no-index', wheel, cwd=tmp_path)
    assert str(tmp_path) in run(python, '-I', PROBE, cwd=tmp_path)
