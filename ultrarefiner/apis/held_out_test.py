"""What a trained model is tested with where no config is given: the test images of a converted dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from ..models.segmentors import CoarseToFine, PrecomputedCoarse
from ..utils.checkpoint import load_strictly
from ..utils.project_files import configs_root
from .config import complete_config
from .init_model import CHECKPOINT_ENDINGS, assemble, open_parts, replace_coarse
from .launch import build_test_set, check_provenance

# Of a training's own test set what is said of the pixels; the rest could be anything, and would be run.
PIXEL_KEYS = ('label_map', 'metainfo')


@dataclass(frozen=True)
class HeldOutTest:
    """A model, and the config of a Runner that tests it.

    Args:
        cfg (Config): With late variables filled in.
        model (CoarseToFine): With its weights.
        made (dict[str, dict]): By checkpoint or package, what it was trained on: the ``ultrarefiner`` entry of its meta
            data, empty where it does not say.
    """

    cfg: Config
    model: CoarseToFine
    made: dict[str, dict]

    def prepare(self, runner: Runner) -> None:
        """Build the test set, check that no weights were trained on an image of it, and load them.

        Args:
            runner (Runner): Of ``cfg``.

        Raises:
            ValueError: If the classes differ, or images that are tested here were trained on.
        """
        model, datasets = build_test_set(runner)
        for source, made in self.made.items():
            check_provenance(dict(meta=dict(ultrarefiner=made or None)), datasets, source)
        load_strictly(model, self.model.state_dict(), next(iter(self.made)))


def open_test(
    model: str, weights: str | None = None, coarse: str | None = None, options: dict | None = None
) -> HeldOutTest:
    """Open a model together with the test of phase 3, or of phase 1 where it has no refiner.

    Args:
        model (str): What `init_model` takes, but for a `Config`.
        weights (str, optional): The checkpoint of a config or a name.
        coarse (str, optional): A checkpoint of phase 1, whose coarse network takes the place of the model's own.
        options (dict, optional): As for `load_config`. Data folder and dataset are those of the training, where the
            checkpoint says them.

    Raises:
        FileNotFoundError: If a file is absent.
        KeyError: If there is no model of that name.
        ValueError: If the model does not open, or has no coarse network; or no dataset is named.
    """
    own, checkpoint, source = open_parts(model, weights)
    cfg = _with_test(own, model)
    if not (cfg.get('dataset') or (options or {}).get('dataset')):
        raise ValueError(f'{model} does not say a dataset to test on: say with --dataset NAME, a folder in --data-dir')
    cfg = complete_config(cfg, options)
    opened = assemble(cfg, checkpoint, source)
    made = {source: opened.provenance}
    if coarse is not None:
        other = assemble(*open_parts(coarse))
        replace_coarse(opened, other, coarse)
        made[coarse] = other.provenance
    if isinstance(opened.coarse, PrecomputedCoarse):
        raise ValueError(
            f'{model} is of phase 2 and has no coarse network: give the checkpoint of phase 1 that it follows with '
            '--coarse; its validation fold, with stored predictions, is tested with its config: CONFIG CHECKPOINT'
        )
    cache = cfg.model.get('embedding_cache')
    cfg.model = opened.cfg.model
    if cache is not None:
        cfg.model.embedding_cache = cache
    if opened.cfg.get('custom_imports'):
        cfg.custom_imports = opened.cfg.custom_imports
    return HeldOutTest(cfg, opened, made)


def _with_test(own: Config, model: str) -> Config:
    """The model of a config with the test of a phase; late variables are not filled in."""
    base = configs_root() / '_base_'
    phase = Config.fromfile(base / 'phases' / ('phase3_joint.py' if own.model.get('refiner') else 'phase1_coarse.py'))
    cfg = Config.fromfile(base / 'default_runtime.py')
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        cfg[key] = phase[key]
    for key in ('default_scope', 'custom_imports', 'dataset', 'data_dir', 'fold', 'model'):
        if own.get(key) is not None:
            cfg[key] = own[key]
    cfg.model.pop('embedding_cache', None)
    # For a test on the images of a fold (subset=val), which has to be the one that was held out.
    cfg.test_dataloader.dataset.update(fold='{fold}', **_pixel_settings(own))
    path = Path(model)
    in_place = path.suffix in CHECKPOINT_ENDINGS
    cfg.work_dir = str(path.parent / 'test') if in_place else f'{{out_dir}}/work_dirs/{path.resolve().stem}/test'
    return cfg


def _pixel_settings(own: Config) -> dict:
    """What a training's own test set says of classes and pixels."""
    dataset = (own.get('test_dataloader') or {}).get('dataset') or {}
    while dataset.get('datasets'):
        dataset = dataset['datasets'][0]
    return {key: dataset[key] for key in PIXEL_KEYS if dataset.get(key) is not None}
