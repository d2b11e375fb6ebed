"""predict.py: the forms of its command line, its exit codes, what it does with images that cannot be read."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from run_tool import run_tool
from small_checkpoint import small_checkpoint, small_config


@pytest.fixture(scope='module')
def folder(small_parts, tiny_root, tmp_path_factory):
    """Two checkpoints of phase 3, one of phase 1 and one of phase 2, and a config."""
    folder = tmp_path_factory.mktemp('predict')
    for name, options in dict(a={}, b=dict(seed=1), coarse=dict(phase=1), refine=dict(phase=2)).items():
        small_checkpoint(small_parts, folder / f'{name}.pth', **options)
    (folder / 'config.py').write_text(small_config(small_parts).pretty_text)
    return folder


@pytest.fixture
def run(monkeypatch, capsys, folder, tiny_root):
    """Run the tool in the folder of the checkpoints; gives exit code, standard output and standard error."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        code = 0
        capsys.readouterr()
        try:
            run_tool('predict.py', *arguments)
        except SystemExit as ended:
            code = ended.code
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def images(tiny_root):
    return tiny_root / 'test' / 'images'


def masks(out):
    return {path.stem: np.asarray(Image.open(path)) for path in sorted((out / 'masks').iterdir())}


def test_a_checkpoint_alone_and_with_its_config_give_the_same(run, images, tmp_path):
    code, said, _ = run('a.pth', images, '--out', tmp_path / 'alone')
    assert code == 0 and '2 images in' in said and str(tmp_path / 'alone' / 'masks') in said
    code, *_ = run('config.py', 'a.pth', images, '--out', tmp_path / 'config')
    assert code == 0
    alone, config = masks(tmp_path / 'alone'), masks(tmp_path / 'config')
    assert list(alone) == list(config) == ['t8', 't9']
    for name, mask in alone.items():
        assert 0 < mask.mean() < 255
        np.testing.assert_array_equal(mask, config[name])


def test_several_checkpoints_are_an_ensemble_with_a_config_or_without(run, images, tmp_path):
    assert run('a.pth', 'b.pth', images, '--out', tmp_path / 'alone')[0] == 0
    assert run('config.py', 'a.pth', 'b.pth', images, '--out', tmp_path / 'config', '--flips', 'horizontal')[0] == 0
    settings = {name: json.loads((tmp_path / name / 'inference.json').read_text()) for name in ('alone', 'config')}
    assert [member['fold'] for member in settings['alone']['members']] == [0, 1]
    assert settings['config']['members'] == settings['alone']['members']
    assert [view['flips'] for view in settings['config']['views']] == [[], ['horizontal']]


def test_files_patterns_and_what_is_saved(run, images, tmp_path):
    code, *_ = run('a.pth', images / 't8.png', f'{images}/t9*', '--out', tmp_path, '--save', 'npy', 'coco', 'panels')
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        'annotations.json',
        'inference.json',
        'masks',
        'npy',
        'panels',
        'predictions.csv',
    }
    assert list(pd.read_csv(tmp_path / 'predictions.csv')['name']) == ['t8', 't9']


def test_phase_2_takes_a_coarse_checkpoint_or_masks(run, images, tmp_path):
    code, _, error = run('refine.pth', images, '--out', tmp_path / 'none')
    assert code == 2 and '--coarse' in error and '--coarse-masks' in error and not (tmp_path / 'none').exists()
    assert run('refine.pth', images, '--out', tmp_path / 'coarse', '--coarse', 'coarse.pth', '--save', 'npy')[0] == 0
    given = ('--coarse-masks', tmp_path / 'coarse/npy')
    assert run('refine.pth', images, '--out', tmp_path / 'masks', *given)[0] == 0
    (tmp_path / 'coarse/npy/t8.npy').unlink()
    code, _, error = run('refine.pth', images, '--out', tmp_path / 'masks', '--overwrite', *given)
    assert code == 2 and 'no mask (1): t8' in error and list(masks(tmp_path / 'masks')) == ['t8', 't9']


def test_an_image_that_cannot_be_decoded_is_named_at_the_end(run, images, tmp_path):
    for index in range(3):
        Image.open(images / 't8.png').convert('RGB').save(tmp_path / f'{index}.png')
    data = bytearray((tmp_path / '1.png').read_bytes())
    data[60:-60] = b'x' * len(data[60:-60])
    (tmp_path / '1.png').write_bytes(data)
    code, said, _ = run('a.pth', tmp_path, '--out', tmp_path / 'out')
    assert code == 1 and list(masks(tmp_path / 'out')) == ['0', '2']
    assert '1 image could not be read and has no result' in said and '1.png is damaged' in said


def test_results_are_kept_replaced_or_gone_on_from(run, images, tmp_path):
    out = tmp_path / 'out'
    assert run('a.pth', images / 't8.png', '--out', out)[0] == 0
    code, _, error = run('a.pth', images, '--out', out)
    assert code == 2 and 'has results already' in error
    before = (out / 'masks' / 't8.png').stat().st_mtime_ns
    code, said, _ = run('a.pth', images, '--out', out, '--resume')
    assert code == 0 and '1 image in' in said and '1 was there already' in said
    assert list(masks(out)) == ['t8', 't9'] and (out / 'masks' / 't8.png').stat().st_mtime_ns == before
    code, said, _ = run('a.pth', images, '--out', out, '--resume')
    assert code == 0 and '0 images' in said and '2 were there already' in said
    code, _, error = run('b.pth', images, '--out', out, '--resume')
    assert code == 2 and 'were made with another members' in error
    assert run('b.pth', images / 't9.png', '--out', out, '--overwrite')[0] == 0 and list(masks(out)) == ['t9']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ((), 'error: give a checkpoint, such as best.pth, and then images'),
        (('a.pth', '--out', 'x'), 'no images are given after a.pth'),
        (('config.py', 'a.pth', '--out', 'x'), 'no images are given after a.pth'),
        (('a.pth', '.'), '--out'),
        (('gone.pth', 'IMAGES', '--out', 'x'), 'gone.pth'),
        (('config.py', 'IMAGES', '--out', 'x'), 'comes without weights'),
        (('IMAGES', '--out', 'x'), 'images is no checkpoint, config, package or name; give a checkpoint'),
        (('unet_small_1xb8-4e_busi', 'IMAGES', '--out', 'x'), 'did you mean unet_small_1xb8-4e_busi-96x96?'),
        (('a.pth', 'nothing', '--out', 'x'), 'no such file (1): nothing'),
        (('a.pth', 'IMAGES', '--out', 'x', '--save', 'overlays'), 'did you mean overlay'),
        (('a.pth', 'IMAGES', '--out', 'x', '--scales', '99'), 'Augmentation.scales'),
        (('a.pth', 'IMAGES', '--out', 'x', '--batch-size', '0'), 'batch_size is 0'),
        (('a.pth', 'IMAGES', '--out', 'x', '--device', 'tpu'), 'tpu'),
        (('a.pth', 'IMAGES', '--out', 'x', '--resume', '--overwrite'), 'choose one'),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(run, images, folder, arguments, message):
    code, _, error = run(*(str(images) if word == 'IMAGES' else word for word in arguments))
    assert code == 2 and message in error and 'Traceback' not in error
    assert not (folder / 'x').exists()


def test_the_list_of_models(run):
    code, said, _ = run('--list')
    assert code == 0 and 'transunet_small_1xb8-4e_busi-96x96' in said.splitlines()
