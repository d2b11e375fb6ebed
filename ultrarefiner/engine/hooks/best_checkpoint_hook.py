"""BestCheckpointHook: the best weights as best.pth, and where weights come from."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook

from ... import __version__
from ...registry import HOOKS
from ...utils.checkpoint import read_checkpoint
from ...utils.precision import precision_of
from ...utils.unwrap import unwrap
from ...utils.whole_file import whole_file

FILE_NAME = 'best.pth'


@HOOKS.register_module()
class BestCheckpointHook(Hook):
    """Keeps ``best.pth`` in the work directory equal to the best checkpoint of mmengine's `CheckpointHook`.

    The file holds only ``state_dict`` and ``meta``, loads with ``weights_only=True``, and is replaced in one step, so
    that it is whole whenever training is interrupted. Needs ``CheckpointHook(save_best=...)``.

    The meta data of this and every other checkpoint of the run says under ``ultrarefiner`` what the weights were
    trained on: ``version``, ``input_profiles``, ``dataset`` (names joined by '+'), ``splits`` (hash by dataset, and by
    each that it was merged of), ``split_sha256`` (of the only dataset, else None), ``fold``, ``classes``, ``phase``
    (the config's top-level value, if any), ``epoch``, ``precision`` ('float32', or that of autocast), and ``metrics``
    of the validation that it was saved after, if any.
    """

    priority = 'NORMAL'  # before CheckpointHook, which saves in after_val_epoch

    def __init__(self):
        self._metrics: dict[str, float] = {}

    def before_train(self, runner) -> None:
        """Make up for an export that an interruption prevented."""
        self._export(runner)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the metrics for the checkpoint that may be saved next."""
        self._metrics = {name: float(value) for name, value in (metrics or {}).items()}

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Write down what the weights were trained on."""
        model = unwrap(runner.model)
        datasets = leaves(runner.train_dataloader.dataset)
        splits = {part.metainfo.get('dataset'): part.metainfo.get('split_sha256') for part in datasets}
        merged = {name: split for part in datasets for name, split in part.metainfo.get('merged_splits', {}).items()}
        checkpoint['meta']['ultrarefiner'] = dict(
            version=__version__,
            input_profiles=model.input_profiles() if hasattr(model, 'input_profiles') else {},
            dataset='+'.join(str(name) for name in splits),
            splits={**merged, **splits},
            split_sha256=next(iter(splits.values())) if len(splits) == 1 else None,
            fold=datasets[0].metainfo.get('fold'),
            classes=list(datasets[0].metainfo.get('classes', ())),
            phase=runner.cfg.get('phase'),
            epoch=checkpoint['meta'].get('epoch'),
            precision=precision_of(runner.optim_wrapper),
            metrics=self._metrics,
        )

    def after_val(self, runner) -> None:
        """Export, if this validation was the best one; `CheckpointHook` has saved by now."""
        self._export(runner)
        self._metrics = {}

    @master_only
    def _export(self, runner) -> None:
        best = Path(runner.message_hub.get_info('best_ckpt', ''))
        target = Path(runner.work_dir) / FILE_NAME
        if not best.is_file() or (target.is_file() and target.stat().st_mtime_ns > best.stat().st_mtime_ns):
            return
        checkpoint = read_checkpoint(best)
        with whole_file(target) as partial:
            torch.save({key: checkpoint[key] for key in ('meta', 'state_dict')}, partial)
        runner.logger.info(f'best weights so far: {target}')


def leaves(dataset) -> list:
    """The datasets inside of a concatenation, or the dataset itself."""
    return [leaf for part in dataset.datasets for leaf in leaves(part)] if hasattr(dataset, 'datasets') else [dataset]
