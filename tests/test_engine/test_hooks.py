"""Hooks, run inside a real Runner on the tiny dataset."""

import io
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from ultrarefiner import __version__
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.engine.hooks import BestCheckpointHook, StageVisualizationHook, TrainableReportHook
from ultrarefiner.engine.hooks.trainable_report_hook import parameter_table
from ultrarefiner.registry import MODELS
from ultrarefiner.structures import Prompts

PIPELINE = [dict(type=name) for name in ('LoadImage', 'LoadMask', 'PackRefinerInputs')]


class HookToyModel(BaseModel):
    """Brightness above a threshold; ``good_at`` is the epoch whose validation is perfect."""

    def __init__(self, good_at=0, broken=False, prompts=True):
        super().__init__(data_preprocessor=MODELS.build(dict(type='ImagePreprocessor')))
        self.coarse = nn.Conv2d(3, 1, 1)
        self.refiner = nn.ModuleDict(dict(encoder=nn.Conv2d(3, 4, 3).requires_grad_(False), decoder=nn.Linear(4, 1)))
        self.register_buffer('epoch', torch.zeros(()))
        self.good_at, self.broken, self.prompts = good_at, broken, prompts

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            loss = sum(self.coarse(image[None].float() / 255).mean() for image in inputs)
            return dict(loss_coarse=loss, loss_refined=loss * (math.nan if self.broken else 1))
        self.epoch += 1
        for sample in data_samples:
            truth = sample.gt_sem_seg.data
            right = int(self.epoch) in (self.good_at, 0)
            sample.coarse_sem_seg = PixelData(data=torch.zeros_like(truth))
            sample.pred_sem_seg = PixelData(data=truth.clone() if right else torch.ones_like(truth))
            if self.prompts:
                sample.set_metainfo(dict(prompts=Prompts(boxes=torch.tensor([[[0.2, 0.2, 0.8, 0.8]]]))))
        return data_samples

    def input_profiles(self):
        return dict(coarse=dict(size=[8, 8]))


@pytest.fixture(autouse=True)
def toy_model(clean_runner):
    MODELS.register_module(module=HookToyModel)
    yield
    MODELS.module_dict.pop('HookToyModel')


def runner(tiny_root, work_dir, epochs=3, hooks=(), model=None, **options):
    def loader(subset):
        return dict(
            dataset=dict(type='ConvertedDataset', data_root=str(tiny_root), subset=subset, fold=0, pipeline=PIPELINE),
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=4,
        )

    cfg = dict(
        default_scope='ultrarefiner',
        work_dir=str(work_dir),
        model=dict(type='HookToyModel', **(model or {})),
        train_dataloader=loader('train'),
        val_dataloader=loader('val'),
        test_dataloader=loader('test'),
        val_evaluator=dict(type='RefinementMetric'),
        test_evaluator=dict(type='RefinementMetric'),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', save_best='refined/Dice', rule='greater')),
        custom_hooks=list(hooks),
        experiment_name=Path(work_dir).name,
        log_level='INFO',
        phase='joint',
    )
    return Runner.from_cfg(Config({**cfg, **options}))


def read_log(work_dir):
    return '\n'.join(path.read_text() for path in Path(work_dir).rglob('*.log'))


@pytest.fixture(scope='module')
def trained(tiny_root, tmp_path_factory):
    """The work directory of three epochs, of which the second is the best."""
    MODELS.register_module(module=HookToyModel)
    work_dir = tmp_path_factory.mktemp('trained')
    hooks = [dict(type='BestCheckpointHook'), dict(type='TrainableReportHook'), dict(type='NonFiniteLossHook')]
    runner(tiny_root, work_dir, hooks=hooks, model=dict(good_at=2)).train()
    MODELS.module_dict.pop('HookToyModel')
    return work_dir


def test_best_pth_holds_the_best_epoch_and_loads_safely(trained):
    best = torch.load(trained / 'best.pth', weights_only=True)
    assert set(best) == {'meta', 'state_dict'}
    assert best['state_dict']['epoch'] == 2  # the toy counts its validations
    assert not list(trained.glob('.*'))


def test_best_pth_says_what_the_weights_were_trained_on(trained, tiny_root):
    made = torch.load(trained / 'best.pth', weights_only=True)['meta']['ultrarefiner']
    metrics = made.pop('metrics')
    digest = Splits.load(tiny_root / 'splits.json').digest
    assert made == dict(
        version=__version__,
        input_profiles=dict(coarse=dict(size=[8, 8])),
        dataset='tiny',
        splits=dict(tiny=digest),
        split_sha256=digest,
        fold=0,
        classes=['background', 'lesion'],
        phase='joint',
        epoch=2,
        precision='float32',
    )
    assert metrics['refined/Dice'] == 1 and metrics['coarse/Dice'] == 0


def test_every_checkpoint_says_it_too_without_metrics_of_another_epoch(trained):
    made = torch.load(trained / 'epoch_3.pth', weights_only=False)['meta']['ultrarefiner']
    assert (made['dataset'], made['fold'], made['epoch'], made['metrics']) == ('tiny', 0, 3, {})


def test_an_interrupted_export_is_made_up_for_when_training_goes_on(trained, tiny_root):
    best = next(trained.glob('best_refined_Dice_epoch_2.pth'))
    (trained / 'best.pth').write_bytes(b'old')
    os.utime(trained / 'best.pth', ns=(0, best.stat().st_mtime_ns - 1))
    resumed = runner(
        tiny_root, trained, hooks=[dict(type='BestCheckpointHook')], resume=True, load_from=str(trained / 'epoch_3.pth')
    )
    resumed.train()  # all three epochs are done: only the catching up is left
    assert torch.load(trained / 'best.pth', weights_only=True)['state_dict']['epoch'] == 2


def test_several_datasets_are_all_named():
    parts = [SimpleNamespace(metainfo=dict(dataset=name, split_sha256=name * 2)) for name in 'ab']
    dataset = SimpleNamespace(datasets=parts)
    run = SimpleNamespace(
        model=nn.Identity(), cfg={}, optim_wrapper=None, train_dataloader=SimpleNamespace(dataset=dataset)
    )
    checkpoint = dict(meta=dict(epoch=4))
    BestCheckpointHook().before_save_checkpoint(run, checkpoint)
    made = checkpoint['meta']['ultrarefiner']
    assert (made['dataset'], made['splits'], made['split_sha256']) == ('a+b', dict(a='aa', b='bb'), None)


def test_what_a_dataset_was_merged_of_is_named_too():
    meta = dict(dataset='both', split_sha256='bb', merged_splits=dict(one='11', other='22'))
    run = SimpleNamespace(
        model=nn.Identity(),
        cfg={},
        optim_wrapper=None,
        train_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo=meta)),
    )
    checkpoint = dict(meta=dict(epoch=4))
    BestCheckpointHook().before_save_checkpoint(run, checkpoint)
    made = checkpoint['meta']['ultrarefiner']
    assert (made['dataset'], made['split_sha256']) == ('both', 'bb')
    assert made['splits'] == dict(one='11', other='22', both='bb')


def test_the_report_counts_by_part(trained):
    lines = [line.split() for line in parameter_table(HookToyModel()).splitlines()]
    assert ['coarse', '4', '4', '100.0'] in lines
    assert ['refiner.encoder', '112', '0', '0.0'] in lines
    assert ['refiner.decoder', '5', '5', '100.0'] in lines
    assert ['all', '121', '9', '7.4'] in lines
    assert 'refiner.encoder' in read_log(trained)


def test_nothing_trainable_is_an_error():
    run = SimpleNamespace(model=HookToyModel().requires_grad_(False))
    with pytest.raises(ValueError, match='no parameter of HookToyModel is trainable: check freeze_coarse'):
        TrainableReportHook().before_train(run)


def test_the_tables_are_logged_at_each_validation(trained):
    log = read_log(trained)
    assert log.count('Delta') == 6 and log.count('Win / tie / loss') == 3
    assert '+1.0000 ↑' in log and '4 images, empty: 0 ground truth, 4 coarse' in log


def test_a_loss_that_is_no_number_stops_training_and_names_the_images(tiny_root, tmp_path):
    with pytest.raises(FloatingPointError) as error:
        runner(tiny_root, tmp_path, hooks=[dict(type='NonFiniteLossHook')], model=dict(broken=True)).train()
    message = str(error.value)
    assert "'loss_refined': nan" in message.split('(all losses')[0]
    assert "'loss_coarse'" not in message.split('(all losses')[0]
    assert (
        all(f'{name}.png' in message for name in ('t1', 't3', 't5', 't7')) and 'after iteration 1 of epoch 1' in message
    )


def test_every_tested_image_is_drawn_and_nothing_without_a_folder(tiny_root, tmp_path):
    hook = dict(type='StageVisualizationHook', show_dir=str(tmp_path / 'show'))
    runner(tiny_root, tmp_path / 'a', hooks=[hook]).test()
    assert sorted(path.name for path in (tmp_path / 'show' / 'tiny').iterdir()) == ['t8.png', 't9.png']
    five = Image.open(tmp_path / 'show' / 'tiny' / 't8.png').size
    hook['show_dir'] = str(tmp_path / 'two')
    runner(tiny_root, tmp_path / 'b', hooks=[hook], model=dict(prompts=False)).test()
    three = Image.open(tmp_path / 'two' / 'tiny' / 't8.png').size
    assert (five[0] - three[0]) == 2 * (three[0] + 6) / 3  # without a refiner: image, truth, coarse; 6 pixels between
    runner(tiny_root, tmp_path / 'c', hooks=[dict(type='StageVisualizationHook')]).test()
    assert not list((tmp_path / 'c').rglob('*.png'))


def test_validation_pictures_are_saved_by_interval(tiny_root, tmp_path):
    hook = dict(type='StageVisualizationHook', show_dir=str(tmp_path / 'show'), val_interval=2)
    runner(tiny_root, tmp_path / 'work', epochs=2, hooks=[hook]).train()
    assert sorted(path.name for path in (tmp_path / 'show').iterdir()) == ['epoch_2']
    assert len(list((tmp_path / 'show' / 'epoch_2' / 'tiny').iterdir())) == 4


def test_tensorboard_gets_the_same_first_images_at_each_validation(tiny_root, tmp_path):
    hook = dict(type='StageVisualizationHook', show_dir=str(tmp_path / 'show'), val_interval=1, tensorboard_images=3)
    backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    visualizer = dict(type='Visualizer', vis_backends=backends)
    made = runner(tiny_root, tmp_path / 'work', epochs=2, hooks=[hook], visualizer=visualizer)
    made.train()
    made.visualizer.close()
    [folder] = {path.parent for path in (tmp_path / 'work').rglob('events.out.tfevents.*')}
    events = EventAccumulator(str(folder), size_guidance=dict(images=0)).Reload()
    assert sorted(events.Tags()['images']) == [f'val/tiny/{name}' for name in ('t0', 't2', 't4')]
    for name in ('t0', 't2', 't4'):
        written = events.Images(f'val/tiny/{name}')
        assert [event.step for event in written] == [1, 2]
        saved = Image.open(tmp_path / 'show' / 'epoch_2' / 'tiny' / f'{name}.png')
        sent = Image.open(io.BytesIO(written[1].encoded_image_string))
        assert sent.size == (saved.width // 2, saved.height // 2)
        difference = np.abs(np.asarray(sent, float) - np.asarray(saved.resize(sent.size, Image.Resampling.BOX), float))
        assert difference.mean() < 2  # grey levels: the picture that was saved, made smaller
    assert not list((tmp_path / 'work').rglob('*.png'))  # a long training would fill the folder


@pytest.mark.parametrize('bgr, rgb', [((255, 0, 0), [0, 0, 255]), ((70,), [70, 70, 70])])
def test_the_picture_is_drawn_from_the_bgr_or_grey_pixels_that_the_model_saw(tmp_path, bgr, rgb):
    image = torch.tensor(bgr, dtype=torch.uint8).view(-1, 1, 1).expand(-1, 40, 48)
    sample = SegDataSample(metainfo=dict(img_path='/data/blue.png'))
    sample.coarse_sem_seg = PixelData(data=torch.zeros(1, 40, 48, dtype=torch.int64))
    meta = dict(classes=('background', 'lesion'), palette=[[0, 0, 0], [255, 0, 0]])
    run = SimpleNamespace(test_loop=SimpleNamespace(dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo=meta))))
    StageVisualizationHook(show_dir=tmp_path).after_test_iter(run, 0, dict(inputs=[image]), [sample])
    assert np.asarray(Image.open(tmp_path / 'blue.png'))[100, 50].tolist() == rgb
