"""Loading, moving and packing: image, mask and stored prediction stay together, and faults are named."""

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image

from ultrarefiner.datasets import ConvertedDataset
from ultrarefiner.datasets.transforms import LoadCoarsePrediction, LoadImage, LoadMask, PackRefinerInputs
from ultrarefiner.models.data_preprocessor import ImagePreprocessor

HEIGHT, WIDTH = 40, 48


def load_image(path):
    return LoadImage()(dict(img_path=str(path)))['img']


def load_mask(path, label_map):
    results = dict(
        img=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        img_path='x.png',
        seg_map_path=str(path),
        label_map=label_map,
        seg_fields=[],
    )
    return LoadMask()(results)['gt_seg_map']


def load_coarse(path):
    results = dict(img=np.zeros((HEIGHT, WIDTH, 3), np.uint8), coarse_path=str(path), seg_fields=[])
    return LoadCoarsePrediction()(results)['coarse_probability']


def blob(top, left, size=8):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top : top + size, left : left + size] = 1
    return mask


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA', 'LA'])
def test_grey_colour_and_transparent_images_give_the_same_three_channels(tmp_path, mode):
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    Image.fromarray(grey).convert(mode).save(tmp_path / 'a.png')
    np.testing.assert_array_equal(load_image(tmp_path / 'a.png'), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize('mode, shape', [('1', (HEIGHT, WIDTH)), ('L', (HEIGHT, WIDTH)), ('RGB', (HEIGHT, WIDTH, 3))])
def test_grey_images_may_stay_one_channel(tmp_path, mode, shape):
    grey = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    Image.fromarray(grey).convert(mode).save(tmp_path / 'a.png')
    path = str(tmp_path / 'a.png')
    one = LoadImage(grey_channels=1)(dict(img_path=path))
    assert one['img'].shape == shape and one['img'].dtype == np.uint8
    three = LoadImage()(dict(img_path=path))
    np.testing.assert_array_equal(one['img'].reshape(HEIGHT, WIDTH, -1)[..., :1].repeat(3, 2), three['img'])
    assert one['img_shape'] == one['ori_shape'] == three['ori_shape'] == (HEIGHT, WIDTH)
    with pytest.raises(ValueError, match='grey_channels is 2, expected 1 or 3'):
        LoadImage(grey_channels=2)


def test_one_channel_gives_the_network_the_same_images_and_the_same_draws(tiny_root, clean_runner):
    init_default_scope('ultrarefiner')
    moves = [
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='RandomRotate', prob=0.5, degree=20, pad_val=0, seg_pad_val=0),
    ]

    def batch(channels):
        np.random.seed(3)
        load = [dict(type='LoadImage', grey_channels=channels), dict(type='LoadMask')]
        pipeline = [*load, *moves, dict(type='PackRefinerInputs')]
        samples = list(ConvertedDataset(tiny_root, 'all_train', pipeline=pipeline))
        return ImagePreprocessor()(pseudo_collate(samples)), np.random.random()

    (one, after_one), (three, after_three) = batch(1), batch(3)
    assert after_one == after_three
    for index in range(8):
        assert torch.equal(one['inputs'][index], three['inputs'][index]) and one['inputs'][index].shape[0] == 3
        fields = [data['data_samples'][index].gt_sem_seg.data for data in (one, three)]
        assert torch.equal(*fields) and fields[0].dtype == torch.uint8


def test_colour_comes_as_bgr(tmp_path):
    Image.new('RGB', (4, 4), (255, 10, 0)).save(tmp_path / 'red.png')
    assert load_image(tmp_path / 'red.png')[0, 0].tolist() == [0, 10, 255]


def test_sixteen_bit_damaged_foreign_and_absent_images_are_refused_by_name(tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / 'deep.png')
    with pytest.raises(ValueError, match=r'deep.png has more than 8 bits a channel \(mode I;16\)'):
        load_image(tmp_path / 'deep.png')
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / 'cut.png')
    whole = (tmp_path / 'cut.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match='cut.png is damaged'):
        load_image(tmp_path / 'cut.png')
    (tmp_path / 'text.png').write_text('hello')
    with pytest.raises(ValueError, match='text.png is no image'):
        load_image(tmp_path / 'text.png')
    with pytest.raises(FileNotFoundError, match='no image .*absent.png'):
        load_image(tmp_path / 'absent.png')


def test_mask_values_are_mapped_as_written(tmp_path):
    grey = np.zeros((HEIGHT, WIDTH), np.uint8)
    grey[0, :5], grey[1, :3] = 255, 128
    Image.fromarray(grey).save(tmp_path / 'm.png')
    labels = load_mask(tmp_path / 'm.png', {0: 0, 255: 1, 128: 255})
    assert {int(v): int((labels == v).sum()) for v in np.unique(labels)} == {0: HEIGHT * WIDTH - 8, 1: 5, 255: 3}


def test_one_bit_masks_read_as_0_and_255(tmp_path):
    Image.fromarray(blob(3, 4) * 255).convert('1').save(tmp_path / 'm.png')
    np.testing.assert_array_equal(load_mask(tmp_path / 'm.png', {0: 0, 255: 1}), blob(3, 4))


def test_an_unknown_mask_value_is_refused_with_file_and_histogram(tmp_path):
    grey = np.zeros((HEIGHT, WIDTH), np.uint8)
    grey[0, :5], grey[1, :3] = 255, 127
    Image.fromarray(grey).save(tmp_path / 'm.png')
    with pytest.raises(ValueError, match=r'm.png holds 1 grey value.*\{0: 1912, 255: 5, 127: 3\}'):
        load_mask(tmp_path / 'm.png', {0: 0, 255: 1})


def test_colour_masks_and_masks_of_another_size_are_refused(tmp_path):
    Image.new('RGB', (WIDTH, HEIGHT)).save(tmp_path / 'colour.png')
    with pytest.raises(ValueError, match=r'colour.png has the shape \(40, 48, 3\)'):
        load_mask(tmp_path / 'colour.png', {0: 0, 255: 1})
    Image.new('L', (WIDTH, 20)).save(tmp_path / 'small.png')
    with pytest.raises(ValueError, match='small.png is 20x48, its image x.png is 40x48'):
        load_mask(tmp_path / 'small.png', {0: 0, 255: 1})


def test_a_prediction_is_resized_to_the_image_between_outer_edges(tmp_path):
    ramp = np.linspace(0, 1, 24, dtype=np.float32)[None].repeat(10, axis=0)
    np.save(tmp_path / 'p.npy', ramp)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(ramp)[None, None], size=(HEIGHT, WIDTH), mode='bilinear', align_corners=False
    )[0, 0]
    np.testing.assert_allclose(load_coarse(tmp_path / 'p.npy'), expected.numpy(), atol=1e-6)


def test_slots_come_last_and_png_is_over_255(tmp_path):
    np.save(tmp_path / 'one.npy', np.full((1, 5, 6), 0.25, np.float16))
    assert load_coarse(tmp_path / 'one.npy').shape == (HEIGHT, WIDTH)
    np.save(tmp_path / 'two.npy', np.stack([np.full((5, 6), 0.25), np.full((5, 6), 0.75)]))
    two = load_coarse(tmp_path / 'two.npy')
    assert two.shape == (HEIGHT, WIDTH, 2)
    assert two[3, 3].tolist() == [0.25, 0.75]
    Image.fromarray(np.full((5, 6), 51, np.uint8)).save(tmp_path / 'p.png')
    np.testing.assert_allclose(load_coarse(tmp_path / 'p.png'), 0.2, atol=1e-6)


@pytest.mark.parametrize(
    'array, expected',
    [
        (np.array([[0.0, 255.0]]), 'ranges from 0.0 to 255.0, expected probabilities'),
        (np.array([[-3.0, 0.5]]), 'ranges from -3.0 to 0.5'),
        (np.array([[np.nan, 0.5]]), 'ranges from nan'),
        (np.zeros(7), r'has the shape \(7,\)'),
        (np.zeros((0, 4)), r'has the shape \(0, 4\)'),
        (np.array([[{}]], dtype=object), 'cannot be read: Object arrays cannot be loaded'),
    ],
)
def test_what_is_no_probability_is_refused_by_name(tmp_path, array, expected):
    np.save(tmp_path / 'p.npy', array, allow_pickle=True)
    with pytest.raises(ValueError, match='p.npy ' + expected):
        load_coarse(tmp_path / 'p.npy')


def test_an_empty_prediction_file_is_refused_by_name(tmp_path):
    (tmp_path / 'p.npy').write_bytes(b'')
    with pytest.raises(ValueError, match='p.npy cannot be read'):
        load_coarse(tmp_path / 'p.npy')


@pytest.fixture
def moved(tmp_path, clean_runner):
    """A function: a transform to what it makes of one blob, as image, mask (H, W) and prediction (1, H, W)."""
    mask = blob(8, 10)
    Image.fromarray(mask * 255).save(tmp_path / 'x.png')
    np.save(tmp_path / 'x.npy', mask.astype(np.float32))
    path = str(tmp_path / 'x.png')

    def run(transform):
        init_default_scope('ultrarefiner')
        steps = [dict(type='LoadImage'), dict(type='LoadMask'), dict(type='LoadCoarsePrediction'), transform]
        item = dict(img_path=path, seg_map_path=path, coarse_path=path.replace('.png', '.npy'), seg_fields=[])
        results = Compose([*steps, dict(type='PackRefinerInputs')])(dict(item, label_map={0: 0, 255: 1}))
        sample = results['data_samples']
        return (
            results['inputs'][0].numpy() > 127,
            sample.gt_sem_seg.data[0].numpy(),
            sample.coarse_probability.data.numpy(),
        )

    return run


def test_a_flip_moves_image_mask_and_prediction_together(moved):
    image, truth, coarse = moved(dict(type='RandomFlip', prob=1.0, direction='horizontal'))
    expected = blob(8, WIDTH - 10 - 8)
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(truth, expected)
    np.testing.assert_array_equal(coarse, expected[None].astype(np.float32))


def test_a_rotation_moves_image_mask_and_prediction_together(moved):
    image, truth, coarse = moved(dict(type='RandomRotate', prob=1.0, degree=(90, 90), seg_pad_val=0))
    # A quarter turn to the right about the centre (23.5, 19.5) takes the pixel (x, y) to (43 - y, x - 4).
    expected = blob(top=10 - 4, left=43 - (8 + 7))
    np.testing.assert_array_equal(truth, expected)
    np.testing.assert_array_equal(image, expected)
    np.testing.assert_array_equal(coarse, expected[None].astype(np.float32))


def test_rotation_pads_mask_and_prediction_with_background(moved):
    _, truth, coarse = moved(dict(type='RandomRotate', prob=1.0, degree=(20, 20), seg_pad_val=0))
    np.testing.assert_array_equal(truth, coarse[0])
    assert set(np.unique(truth)) == {0, 1}


def test_mmsegs_default_padding_of_255_is_refused_in_a_prediction(moved):
    with pytest.raises(ValueError, match='x.png reaches 255.0 after the transforms.*seg_pad_val=0'):
        moved(dict(type='RandomRotate', prob=1.0, degree=(20, 20)))


def test_several_slots_are_packed_first():
    probability = np.stack([np.full((HEIGHT, WIDTH), 0.25), np.full((HEIGHT, WIDTH), 0.75)], axis=-1)
    results = dict(img=np.zeros((HEIGHT, WIDTH, 3), np.uint8), coarse_probability=probability, img_path='x.png')
    packed = PackRefinerInputs()(results)['data_samples'].coarse_probability.data
    assert packed.dtype == torch.float32 and packed[:, 5, 7].tolist() == [0.25, 0.75]


def test_the_pipeline_carries_every_name(tiny_root, tmp_path, clean_runner):
    np.save(tmp_path / 't8.npy', np.full((20, 24), 0.5, np.float32))
    np.save(tmp_path / 't9.npy', np.full((20, 24), 0.5, np.float32))
    init_default_scope('ultrarefiner')
    pipeline = [dict(type=name) for name in ('LoadImage', 'LoadMask', 'LoadCoarsePrediction', 'PackRefinerInputs')]
    dataset = ConvertedDataset(tiny_root, 'test', coarse_dir=tmp_path, require_proof=False, pipeline=pipeline)
    item = dataset[1]
    meta = item['data_samples'].metainfo
    assert (meta['name'], meta['dataset'], meta['ori_shape']) == ('t9', 'tiny', (HEIGHT, WIDTH))
    stored = np.asarray(Image.open(tiny_root / 'test' / 'masks' / 't9.png'))
    np.testing.assert_array_equal(item['data_samples'].gt_sem_seg.data[0].numpy(), stored // 255)
    assert item['inputs'].shape == (3, HEIGHT, WIDTH)
    assert item['data_samples'].coarse_probability.data.unique().tolist() == [0.5]


def test_a_label_map_becomes_a_slot_for_each_class(tmp_path):
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[:20], labels[30:] = 7, 9
    Image.fromarray(labels).save(tmp_path / 'p.png')
    results = dict(img=np.zeros((HEIGHT, WIDTH, 3), np.uint8), coarse_path=str(tmp_path / 'p.png'), seg_fields=[])
    maps = {0: 0, 7: 2, 9: 1}
    slots = LoadCoarsePrediction()({**results, 'coarse_label_map': maps})['coarse_probability']
    np.testing.assert_array_equal(slots, np.stack([labels == 9, labels == 7], axis=-1).astype(np.float32))
    one = LoadCoarsePrediction()({**results, 'seg_fields': [], 'coarse_label_map': {0: 0, 7: 1, 9: 1}})
    np.testing.assert_array_equal(one['coarse_probability'], (labels > 0).astype(np.float32))
    with pytest.raises(ValueError, match=r'p.png holds 1 grey value.*\{0: 0, 7: 1\}'):
        LoadCoarsePrediction()({**results, 'coarse_label_map': {0: 0, 7: 1}})


def test_a_png_of_0_and_1_is_no_probability(tmp_path):
    """Grey value 1 is a probability of 0.004: the mask would be read as empty, and nothing would say so."""
    for value in (1, 2, 255):
        Image.fromarray(blob(4, 4) * np.uint8(value)).save(tmp_path / f'{value}.png')
    Image.fromarray(blob(4, 4) == 1).save(tmp_path / 'bit.png')
    with pytest.raises(ValueError, match=r'1.png has no grey value above 1.*0 and 255.*coarse_label_map'):
        load_coarse(tmp_path / '1.png')
    assert load_coarse(tmp_path / '2.png').max() == np.float32(2 / 255)
    for name in ('255.png', 'bit.png'):
        np.testing.assert_array_equal(load_coarse(tmp_path / name), blob(4, 4))
    Image.fromarray(blob(4, 4) * np.uint8(0)).save(tmp_path / 'empty.png')
    assert load_coarse(tmp_path / 'empty.png').max() == 0
    np.save(tmp_path / 'labels.npy', blob(4, 4))
    np.testing.assert_array_equal(load_coarse(tmp_path / 'labels.npy'), blob(4, 4))
