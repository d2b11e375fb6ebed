"""What is written is read back as it was, whole, and never over anything."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from small_checkpoint import PALETTE

from ultrarefiner.apis.inference import prediction_writer
from ultrarefiner.apis.inference.prediction import Prediction
from ultrarefiner.apis.inference.prediction_formats import run_lengths
from ultrarefiner.apis.inference.prediction_writer import FORMATS, OWN, PredictionWriter
from ultrarefiner.data_preparation.archive import open_archive
from ultrarefiner.data_preparation.converters.generic import CocoConverter
from ultrarefiner.structures import Prompts
from ultrarefiner.utils.stage_files import prompts_from_dict

SIZE = (30, 40)
CLASSES = ('background', 'lesion', 'cyst')


def prediction(name='a', classes=1, seed=0, refined=True):
    """Random probabilities; of a phase 1 without prompts."""
    rng = np.random.default_rng(seed)
    probabilities = rng.uniform(0, 1, (classes, *SIZE)).astype(np.float32)
    mask = np.where(probabilities.max(0) > 0.5, probabilities.argmax(0) + 1, 0).astype(np.uint8)
    boxes = torch.tensor([[[0.1, 0.2, 0.3, 0.4]] * classes])
    return Prediction(
        name=name,
        file_name=f'{name}.jpg',
        image=rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        mask=mask,
        probabilities=probabilities,
        coarse_mask=mask[::-1].copy() if refined else mask,
        coarse_probabilities=probabilities[:, ::-1] if refined else probabilities,
        prompts=Prompts(boxes=boxes) if refined else None,
        predicted_iou=np.linspace(0.5, 0.75, classes, dtype=np.float32) if refined else None,
        uncertainty=rng.uniform(0, 1, SIZE).astype(np.float32),
        disagreement=None,
    )


def writer(folder, classes=1, **options):
    return PredictionWriter(folder, CLASSES[: classes + 1], PALETTE[: classes + 1], **options)


def write(folder, *predictions, **options):
    with writer(folder, len(predictions[0].probabilities), **options) as opened:
        for each in predictions:
            opened.write(each)


def picture(path):
    return np.asarray(Image.open(path))


def content(folder):
    """Every file's bytes by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.mark.parametrize('classes', [1, 2])
def test_every_format_is_read_back(tmp_path, classes):
    made = prediction('deep/a', classes)
    write(tmp_path, made, save=FORMATS)
    factor = 255 if classes == 1 else 1
    np.testing.assert_array_equal(picture(tmp_path / 'masks/deep/a.png'), made.mask * factor)
    np.testing.assert_array_equal(picture(tmp_path / 'coarse/deep/a.png'), made.coarse_mask * factor)
    np.testing.assert_array_equal(np.load(tmp_path / 'npy/deep/a.npy'), made.probabilities)
    grey = picture(tmp_path / 'uncertainty/deep/a.png')
    assert grey.dtype == np.uint8 and np.abs(grey / 255 - made.uncertainty).max() <= 0.5 / 255 + 1e-6
    prompts = prompts_from_dict(json.loads((tmp_path / 'prompts/deep/a.json').read_text()))
    torch.testing.assert_close(prompts.boxes, made.prompts.boxes)
    assert picture(tmp_path / 'overlay/deep/a.png').shape == (*SIZE, 3)
    assert picture(tmp_path / 'panels/deep/a.png').shape[1] == 4 * 512 + 3 * 6
    assert {path.name for path in tmp_path.iterdir()} == set(OWN)


def test_only_what_is_asked_for_is_written(tmp_path):
    write(tmp_path, prediction())
    assert list(content(tmp_path)) == ['inference.json', 'masks/a.png', 'predictions.csv']
    with pytest.raises(ValueError, match=r"save has \['pdf'\], expected some of overlay"):
        writer(tmp_path / 'other', save=['pdf'])


def test_the_contour_of_the_overlay_is_the_border_of_the_mask(tmp_path):
    made = prediction()
    mask = np.zeros(SIZE, np.uint8)
    mask[8:20, 10:30] = 1
    write(tmp_path, Prediction(**{**vars(made), 'mask': mask}), save=['overlay'])
    changed = (picture(tmp_path / 'overlay/a.png') != made.image).any(axis=-1)
    rim = np.zeros(SIZE, bool)
    rim[5:23, 7:33] = True
    rim[12:16, 14:26] = False
    assert changed[8, 10:30].all() and changed[8:20, 29].all() and not changed[~rim].any()


def test_the_table_by_hand(tmp_path):
    made = prediction(classes=2)
    mask = np.zeros(SIZE, np.uint8)
    mask[:4, :5] = mask[10:12, 20:25] = 1
    coarse = np.zeros(SIZE, np.uint8)
    coarse[:4, :5] = 1
    uncertainty = np.full(SIZE, 0.25, np.float32)
    uncertainty[mask == 1] = 0.5
    write(tmp_path, Prediction(**{**vars(made), 'mask': mask, 'coarse_mask': coarse, 'uncertainty': uncertainty}))
    lesion, cyst = pd.read_csv(tmp_path / 'predictions.csv').to_dict('records')
    expected = {
        'name': 'a',
        'height': 30,
        'width': 40,
        'class': 'lesion',
        'area': 30,
        'area_share': 0.025,
        'components': 2,
        'predicted_iou': 0.5,
        'uncertainty/image': 0.25625,
        'uncertainty/mask': 0.5,
        'change/IoU': 0.666667,
    }
    assert lesion == expected
    assert cyst['area'] == cyst['components'] == 0 and cyst['change/IoU'] == 1 and np.isnan(cyst['uncertainty/mask'])


def test_a_phase_1_leaves_no_prompts_and_empty_cells(tmp_path):
    write(tmp_path, prediction(refined=False), save=FORMATS)
    assert not list((tmp_path / 'prompts').iterdir())
    (row,) = pd.read_csv(tmp_path / 'predictions.csv').to_dict('records')
    assert np.isnan(row['predicted_iou']) and np.isnan(row['change/IoU'])
    assert 'score' not in json.loads((tmp_path / 'annotations.json').read_text())['annotations'][0]


def decode(entry):
    height, width = entry['size']
    values = np.arange(len(entry['counts'])) % 2
    return np.repeat(values, entry['counts']).reshape(width, height).T


@pytest.mark.parametrize('fill', [0, 1])
def test_run_lengths_of_an_empty_and_a_full_mask(fill):
    assert run_lengths(np.full((3, 4), fill, bool)) == [[12], [0, 12]][fill]


def test_coco_holds_every_mask_exactly_with_its_score(tmp_path):
    empty = Prediction(**{**vars(prediction('b', 2)), 'mask': np.zeros(SIZE, np.uint8)})
    made = [prediction('a', 2), empty, prediction('deep/c', 2, seed=1)]
    write(tmp_path, *made, save=['coco'])
    coco = json.loads((tmp_path / 'annotations.json').read_text())
    assert coco['categories'] == [dict(id=1, name='lesion'), dict(id=2, name='cyst')]
    assert [(image['id'], image['file_name']) for image in coco['images']] == [
        (1, 'a.jpg'),
        (2, 'b.jpg'),
        (3, 'deep/c.jpg'),
    ]
    assert [(a['id'], a['image_id'], a['category_id']) for a in coco['annotations']] == [
        (1, 1, 1),
        (2, 1, 2),
        (3, 3, 1),
        (4, 3, 2),
    ]
    for annotation in coco['annotations']:
        mask = made[annotation['image_id'] - 1].mask == annotation['category_id']
        np.testing.assert_array_equal(decode(annotation['segmentation']), mask)
        assert annotation['area'] == mask.sum() and annotation['score'] == (0.5, 0.75)[annotation['category_id'] - 1]
        rows, columns = np.nonzero(mask)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        assert annotation['bbox'] == box


def test_our_own_converter_reads_the_masks_of_coco_back(tmp_path):
    made = [prediction('a'), prediction('deep/b', seed=1)]
    write(tmp_path / 'out', *made, save=['coco'])
    (tmp_path / 'out' / 'images' / 'deep').mkdir(parents=True)
    for each in made:
        Image.fromarray(each.image).save(tmp_path / 'out' / 'images' / each.file_name)
    with open_archive(tmp_path / 'out') as archive:
        converter = CocoConverter('mine', 'annotations.json')
        collection = converter.collect(archive)
        assert len(collection.samples) == 2 and not collection.faults
        for sample, each in zip(collection.samples, made):
            np.testing.assert_array_equal(converter.load_mask(archive, sample, SIZE)[0], each.mask == 1)


def test_results_are_never_overwritten_without_being_asked(tmp_path):
    write(tmp_path, prediction(), prediction('old'), save=['npy'])
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=r'has results already \(masks, npy.*--overwrite'):
        writer(tmp_path)
    assert content(tmp_path) == before
    (tmp_path / 'notes.txt').write_text('mine')
    write(tmp_path, prediction(), overwrite=True)
    assert list(content(tmp_path)) == ['inference.json', 'masks/a.png', 'notes.txt', 'predictions.csv']


def test_a_folder_of_masks_that_are_not_ours_is_not_removed(tmp_path):
    (tmp_path / 'masks').mkdir()
    with pytest.raises(FileExistsError, match='not from the inferencer, and not touched'):
        writer(tmp_path, overwrite=True)
    assert (tmp_path / 'masks').is_dir()


def test_an_interruption_leaves_whole_files_and_the_tables_of_what_was_done(tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path, save=['coco']) as opened:
        opened.write(prediction('a'))
        with monkeypatch.context() as patch:
            patch.setattr(Image.Image, 'save', interrupted_save)
            opened.write(prediction('b', seed=1))
    assert list(content(tmp_path)) == ['annotations.json', 'inference.json', 'masks/a.png', 'predictions.csv']
    assert list(pd.read_csv(tmp_path / 'predictions.csv')['name']) == ['a']
    assert len(json.loads((tmp_path / 'annotations.json').read_text())['images']) == 1


def interrupted_save(self, path, *args, **kwargs):
    path.write_bytes(b'half a file')
    raise KeyboardInterrupt


def test_resuming_gives_what_one_run_gives(tmp_path):
    made = [prediction('a'), prediction('deep/b', seed=1), prediction('c', seed=2)]
    write(tmp_path / 'once', *made, save=FORMATS, settings=dict(precision='float32'))
    options = dict(save=FORMATS, settings=dict(precision='float32'), resume=True)
    write(tmp_path / 'twice', *made[:2], **options)
    with writer(tmp_path / 'twice', **options) as opened:
        assert opened.done == {'a', 'deep/b'} and opened.count == 2
        opened.write(made[2])
    assert content(tmp_path / 'twice') == content(tmp_path / 'once')


def test_an_image_whose_files_are_not_all_there_is_made_again(tmp_path):
    write(tmp_path, prediction('a'), prediction('b'), save=['npy', 'coco'])
    (tmp_path / 'npy' / 'a.npy').unlink()
    with writer(tmp_path, save=['npy', 'coco'], resume=True) as opened:
        assert opened.done == {'b'}
    (tmp_path / 'annotations.json').unlink()
    with writer(tmp_path, save=['npy', 'coco'], resume=True) as opened:
        assert opened.done == set()


@pytest.mark.parametrize(
    ('options', 'key'), [(dict(settings=dict(precision='bfloat16')), 'precision'), (dict(save=['npy']), 'save')]
)
def test_results_of_other_settings_are_not_gone_on_from(tmp_path, options, key):
    write(tmp_path, prediction(), settings=dict(precision='float32'))
    with pytest.raises(ValueError, match=f'were made with another {key}'):
        writer(tmp_path, **{'settings': dict(precision='float32'), **options}, resume=True)
    with pytest.raises(ValueError, match='choose one'):
        writer(tmp_path, resume=True, overwrite=True)


def test_a_long_run_writes_its_tables_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(prediction_writer, 'SECONDS_BETWEEN_TABLES', -1)
    opened = writer(tmp_path, save=['coco'])
    for count, name in enumerate('abc', start=1):
        opened.write(prediction(name))
        assert len(pd.read_csv(tmp_path / 'predictions.csv')) == count
        assert len(json.loads((tmp_path / 'annotations.json').read_text())['images']) == count
    opened.close()
