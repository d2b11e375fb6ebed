"""What has to work where the wheel is installed and there is no checkout; run it there with python -I."""

import subprocess
import sys
import tempfile
from pathlib import Path

from mmengine.config import Config

import ultrarefiner
from ultrarefiner.apis import build_model, find_model, init_model, list_models, load_config
from ultrarefiner.utils.project_files import configs_root

SMALL = 'ultrarefiner_transunet-small_sam-small_soft-prompts_phase3-1xb4-2e_busi-192x192'

package = Path(ultrarefiner.__file__).parent
if 'site-packages' not in package.parts:
    sys.exit(f'ultrarefiner was imported from {package}, which is no installed package')
if configs_root() != (package / '.mim' / 'configs').resolve():
    sys.exit(f'the configs were found in {configs_root()}, outside of the package')

names = list_models()
lost = [name for name in names if not (find_model(name).config.is_file() and find_model(name).readme.is_file())]
if len(names) < 20 or lost:
    sys.exit(f'{len(names)} models are listed, of which these have no config or no page: {lost}')
for name in names:
    load_config(find_model(name).config)
parameters = sum(parameter.numel() for parameter in build_model(load_config(find_model(SMALL).config)).parameters())

shipped = [name for name in names if find_model(name).weights is not None]
for name in shipped:
    init_model(name)

with tempfile.TemporaryDirectory() as folder:
    mine = Path(folder) / 'mine.py'
    mine.write_text(f"_base_ = 'ultrarefiner::ultrarefiner/{SMALL}.py'\nfold = 3\n")
    if Config.fromfile(mine).fold != 3 or build_model(load_config(mine)) is None:
        sys.exit("a config with _base_ = 'ultrarefiner::...' does not say what it should")
    tool = configs_root().parent / 'tools' / 'misc' / 'print_config.py'
    said = subprocess.run([sys.executable, '-I', tool, mine], capture_output=True, text=True, cwd=folder)
    if said.returncode or 'fold_3' not in said.stdout:
        sys.exit(f'{tool} failed: {said.stderr[-2000:]}')

print(f'{package}: {len(names)} models, {len(shipped)} with weights; {SMALL} has {parameters:,} parameters')
