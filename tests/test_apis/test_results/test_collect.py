"""Collecting: the small files of finished runs, without paths, and nothing overwritten that is not the collector's."""

import json

import numpy as np
import pandas as pd
import pytest
from results_makers import IMAGES, make_dataset, make_masks, make_run

from ultrarefiner.apis.results.collect import collect, curve_of, without_paths
from ultrarefiner.evaluation.per_image_csv import read_rows
from ultrarefiner.evaluation.training_log import read_training_log

DICE = {name: (0.123456789, 0.7) for name in IMAGES}
RUN = 'tiny/checkpoints/ultrarefiner/fold_0'


@pytest.fixture
def runs(tmp_path):
    """A finished run with a test, and the folder of all runs."""
    splits = make_dataset(tmp_path / 'data')
    make_run(tmp_path / 'runs', tmp_path / 'data', splits, 'ultrarefiner', 0, {'tiny': DICE})
    return tmp_path / 'runs'


def collected_files(out):
    return {path.relative_to(out).as_posix() for path in out.rglob('*') if path.is_file()}


def test_takes_the_small_files_and_the_splits(runs, tmp_path):
    found = collect(runs, tmp_path / 'out')
    assert found.taken == {RUN: ['tiny']} and not found.left
    files = collected_files(tmp_path / 'out')
    assert {path for path in files if path.startswith(RUN)} == {
        f'{RUN}/training.json',
        f'{RUN}/ultrarefiner_small.py',
        f'{RUN}/curve.csv',
        f'{RUN}/tests/tiny/per_image.csv.gz',
        f'{RUN}/tests/tiny/per_image.json',
    }
    assert sum(path.startswith('splits/TINY_') for path in files) == 1
    rows = read_rows(tmp_path / 'out' / RUN / 'tests/tiny/per_image.csv.gz')
    assert rows['coarse/Dice'].tolist() == [0.12346] * 4


def test_no_file_names_a_folder_of_this_machine(runs, tmp_path):
    collect(runs, tmp_path / 'out')
    texts = [path.read_text() for path in (tmp_path / 'out').rglob('*') if path.suffix in ('.py', '.json', '.csv')]
    assert not any(str(tmp_path) in text for text in texts)
    config = (tmp_path / 'out' / RUN / 'ultrarefiner_small.py').read_text()
    assert "data_dir = 'data'" in config and "out_dir = '.'" in config
    assert "load_from = 'checkpoints/ultrarefiner/fold_0/best.pth'" in config
    summary = json.loads((tmp_path / 'out' / RUN / 'tests/tiny/per_image.json').read_text())
    assert summary['checkpoint'] == f'{RUN.removeprefix("tiny/")}/tests/tiny/best.pth'


def test_paths_that_no_folder_is_known_of_keep_their_last_part():
    text = """a = '/home/me/weights.pth'; b = "C:\\\\x\\\\y.pth"; c = 'relative/z'; d = '/data'; e = '/database/q'"""
    assert without_paths(text, {'/data': 'data'}) == (
        """a = 'weights.pth'; b = "y.pth"; c = 'relative/z'; d = 'data'; e = 'q'"""
    )


def test_same_runs_give_the_same_bytes(runs, tmp_path):
    for out in ('one', 'two'):
        collect(runs, tmp_path / out)
    assert collected_files(tmp_path / 'one') == collected_files(tmp_path / 'two')
    for name in collected_files(tmp_path / 'one'):
        assert (tmp_path / 'one' / name).read_bytes() == (tmp_path / 'two' / name).read_bytes()


def test_leaves_out_what_is_not_finished(runs, tmp_path):
    splits = make_dataset(tmp_path / 'more')
    make_run(runs, tmp_path / 'more', splits, 'unet', 1, {}, finished=False)
    found = collect(runs, tmp_path / 'out')
    assert found.left == {'tiny/checkpoints/unet/fold_1': 'the training has not come to its end'}
    assert list(found.taken) == [RUN]


def test_replaces_what_it_wrote_and_drops_a_test_that_is_gone(runs, tmp_path):
    (runs / RUN / 'tests/tiny').rename(runs / RUN / 'tests/old')
    collect(runs, tmp_path / 'out')
    (runs / RUN / 'tests/old').rename(runs / RUN / 'tests/new')
    assert collect(runs, tmp_path / 'out').taken == {RUN: ['new']}
    assert not (tmp_path / 'out' / RUN / 'tests/old/per_image.csv.gz').exists()


def test_refuses_a_file_that_is_not_its_own(runs, tmp_path):
    (tmp_path / 'out' / RUN).mkdir(parents=True)
    (tmp_path / 'out' / RUN / 'training.json').write_text('mine')
    with pytest.raises(FileExistsError, match='was not written by this tool'):
        collect(runs, tmp_path / 'out')


def test_says_where_a_split_is_looked_for(runs, tmp_path):
    (tmp_path / 'data').rename(tmp_path / 'moved')
    with pytest.raises(FileNotFoundError, match='give its folder with --data-dir'):
        collect(runs, tmp_path / 'out')
    assert collect(runs, tmp_path / 'out2', [tmp_path / 'moved']).taken == {RUN: ['tiny']}


def test_a_folder_without_runs_is_a_mistake(tmp_path):
    with pytest.raises(FileNotFoundError, match='training.json'):
        collect(tmp_path, tmp_path / 'out')


def test_counts_the_errors_once_where_there_are_masks(runs, tmp_path):
    truth = np.zeros((40, 40), bool)
    truth[10:20, 10:20] = True
    folder = runs / RUN / 'tests/tiny'
    for name in IMAGES:
        make_masks(folder, tmp_path / 'data/tiny', 'TINY', name, truth, ~truth, truth)
    collect(runs, tmp_path / 'out')
    errors = json.loads((tmp_path / 'out' / RUN / 'tests/tiny/errors.json').read_text())
    assert errors['images'] == 4 and errors['pixels']['lesion'] == 400
    mended = sum(count for key, count in errors['pixels'].items() if key.endswith('/mended'))
    assert mended == 4 * 1600 and not sum(v for key, v in errors['pixels'].items() if key.endswith('/refined'))
    for mask in (folder / 'masks/TINY').iterdir():
        mask.unlink()  # the masks may go; the same results keep their counts
    collect(runs, tmp_path / 'out')
    assert json.loads((tmp_path / 'out' / RUN / 'tests/tiny/errors.json').read_text()) == errors


def test_curve_has_a_row_a_validation_with_the_mean_loss_before_it(runs):
    curve = curve_of(read_training_log(runs / RUN))
    assert curve['epoch'].tolist() == [1, 2]
    np.testing.assert_allclose(curve['loss'], [1.5, 1.0])  # of 1 and 2, of 0.5 and 1.5
    np.testing.assert_allclose(curve['coarse/Dice'], [0.6, 0.7])


def test_curve_counts_iterations_where_there_are_no_epochs():
    log = pd.DataFrame(
        dict(kind=['train', 'val', 'train', 'train'], iter=[5, 5, 10, 15], loss=[2.0, None, 1.0, 3.0])
        | {'coarse/Dice': [None, 0.25, None, None]}
    )
    assert curve_of(log).to_dict('records') == [{'iter': 5, 'loss': 2.0, 'coarse/Dice': 0.25}]
