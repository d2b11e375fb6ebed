import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from report_makers import NAMES, gallery, make_data, make_work_dir
from run_tool import load_tool

from ultrarefiner.apis.report.cases import choose_images
from ultrarefiner.apis.report.report import make_report
from ultrarefiner.evaluation.per_image_csv import read_rows, win_tie_loss


@pytest.fixture(scope='module')
def tool():
    return load_tool('analysis_tools/report.py')


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp('report')
    make_data(root / 'data' / 'tiny', NAMES)
    return make_work_dir(root / 'run', root / 'data' / 'tiny')


@pytest.fixture(scope='module')
def page(work_dir):
    return make_report([work_dir]).html


def row_of(html, title):
    """The values in the first row of a table with this title."""
    row = re.search(rf'<th scope="row">{title}.*?</tr>', html, re.DOTALL)[0]
    return [text.replace('\N{MINUS SIGN}', '-') for text in re.findall(r'class="value[^"]*">([^<]*)<', row)]


class Elements(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found, self.text, self.scripts = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        (self.scripts if self.found and self.found[-1][0] in ('script', 'style') else self.text).append(data)


def test_numbers_are_those_of_the_csv(page, work_dir):
    rows = read_rows(work_dir / 'test' / 'per_image.csv')
    means = [rows[f'{stage}/Dice'].mean() for stage in ('coarse', 'refined', 'delta')]
    assert [float(value.split()[0]) for value in row_of(page, 'Dice')] == pytest.approx(means, abs=5e-5)
    hd95 = [float(value.split()[0]) for value in row_of(page, 'HD95')]
    assert hd95 == pytest.approx([rows[f'{stage}/HD95'].mean() for stage in ('coarse', 'refined', 'delta')], abs=5e-3)
    assert f'tile-value">{" / ".join(map(str, win_tie_loss(rows).values()))}<' in page
    data = gallery(page)
    column = [metric['name'] for metric in data['metrics']].index('Dice')
    shown = {case['name']: case['values']['refined'][column] for case in data['cases']}
    assert shown == pytest.approx(dict(zip(rows['name'], rows['refined/Dice'])), abs=1e-6)


def test_every_case_has_its_layers_and_prompts(page):
    data = gallery(page)
    cases = {case['name']: case for case in data['cases']}
    assert sorted(cases) == sorted(NAMES) and len(data['pictures']) == len(NAMES)
    assert all(picture['uri'].startswith('data:image/jpeg') and picture['width'] == 48 for picture in data['pictures'])
    assert cases['a1']['layers']['truth'] == cases['a1']['layers']['refined'] != cases['a1']['layers']['coarse'] != ''
    assert (
        cases['missed']['layers']['refined'] == ''
        and cases['missed']['missed']
        and cases['missed']['outcome'] == 'loss'
    )
    (slot,) = cases['a1']['prompts']
    assert slot['points'] == [[0.5, 0.5]] and slot['labels'] == [1]
    assert slot['box'] == pytest.approx([0.25, 0.2, 0.75, 0.8])


def test_a_class_has_the_prompts_of_all_its_objects_and_of_no_other(tmp_path):
    make_data(tmp_path / 'tiny', NAMES)
    run = make_work_dir(tmp_path / 'run', tmp_path / 'tiny', classes=('lesion', 'cyst'))
    slots = [dict(valid=True, box=[x, 0.0, 1.0, 1.0]) for x in (0.1, 0.2, 0.3, 0.4)]
    file = run / 'test' / 'prompts' / 'tiny' / 'a1.json'
    file.write_text(json.dumps(dict(frame='normalised', slots=slots)))
    cases = {(case['name'], case['label']): case for case in gallery(make_report([run]).html)['cases']}
    boxes = {label: [slot['box'][0] for slot in cases['a1', label]['prompts']] for label in ('lesion', 'cyst')}
    assert boxes == dict(lesion=[0.1, 0.2], cyst=[0.3, 0.4])
    assert len(cases['a2', 'cyst']['prompts']) == 1


def test_what_the_run_is(page):
    for text in ('the_config', 'float32', '2.50 M, 1,000 of them trained', '2 min 5 s', '1.00 GiB', '3: both together'):
        assert text.replace('_', '_<wbr>') in page
    assert '2024-01-02 03:04' in page and 'AdamW, lr 0.0001' in page.replace('<wbr>', '')
    assert 'groups of images' in page and 'Missing on this page' not in page


def test_nothing_is_loaded_from_anywhere(page):
    elements = Elements(page)
    for tag, attributes in elements.found:
        for name in ('src', 'href', 'action', 'data', 'srcset', 'poster'):
            assert attributes.get(name, '#').startswith(('#', 'data:,')), (tag, attributes)
        assert not [name for name in attributes if name.startswith('on') or name == 'style']
    addresses = set(re.findall(r'(?:https?:)?//[\w.]+\.\w+', ''.join(elements.scripts)))
    assert addresses == {'http://www.w3.org'}, 'the name of the SVG language'
    assert '@import' not in page and 'url(' not in page.split('<script>')[0]


def test_no_name_becomes_a_part_of_the_page(tmp_path):
    data = tmp_path / 'tiny'
    make_data(data, NAMES)
    label = '</script><img src=x onerror=alert(1)>'
    run = make_work_dir(tmp_path / '<i>run', data, classes=(label,), work_dir='</pre><svg onload=alert(1)>')
    html = make_report([run], title='<u>title</u>').html
    elements = Elements(html)
    assert not [tag for tag, _ in elements.found if tag in ('b', 'u', 'img') or (tag == 'i' and 'run' in str(_))]
    assert [attributes.get('type') for tag, attributes in elements.found if tag == 'script'] == [
        'application/json',
        None,
    ]
    assert {case['name'] for case in gallery(html)['cases']} == set(NAMES)
    assert {case['label'] for case in gallery(html)['cases']} == {label}
    assert '<u>title</u>' in ''.join(elements.text)


def test_cases_are_the_worst_the_best_and_the_most_changed(work_dir):
    rows = pd.DataFrame(
        {
            'dataset': 'd',
            'name': ['bad', 'good', 'up', 'down', 'dull1', 'dull2'],
            'refined/Dice': [0.1, 0.95, 0.6, 0.5, 0.7, 0.71],
            'delta/Dice': [0.01, 0.0, 0.3, -0.3, 0.02, 0.0],
        }
    )
    assert [name for _, name in choose_images(rows, 4)] == ['bad', 'down', 'good', 'up']
    assert len(choose_images(rows, 99)) == 6 and choose_images(rows, 0) == []
    report = make_report([work_dir], cases=2)
    assert (report.images, report.left_out) == (2, 5)
    assert '2 of 7 images' in report.html and '5 are left out' in report.html and 'hollow' in report.html
    assert 'The gallery was left out' in make_report([work_dir], cases=0).html


def test_missing_parts_are_told_and_do_not_stop_the_page(work_dir, tmp_path):
    run = tmp_path / 'run'
    shutil.copytree(work_dir, run)
    shutil.rmtree(run / 'test' / 'coarse')
    shutil.rmtree(run / 'test' / 'prompts')
    config = next(run.glob('2*/vis_data/config.py'))
    config.write_text(config.read_text().replace('data/tiny', 'moved/tiny'))
    report = make_report([run])
    assert 'no coarse masks and no prompts' in report.html and '--data-dir' in report.html
    data = gallery(report.html)
    assert set(data['cases'][0]['layers']) == {'refined'} and data['pictures'][0]['uri'] is None
    assert data['pictures'][0]['width'] == 48
    found = gallery(make_report([run], data_dir=work_dir.parent / 'data').html)
    assert found['pictures'][0]['uri'] and set(found['cases'][0]['layers']) == {'refined', 'truth'}
    shutil.rmtree(run / 'test')
    (run / 'training.json').unlink()
    report = make_report([run])
    assert 'Nothing has been tested yet' in report.html and 'There is no training.json' in report.html
    assert 'Dice on validation' in report.html and report.images == 0


def test_results_alone_and_a_broken_config(work_dir, tmp_path):
    shutil.copytree(work_dir / 'test', tmp_path / 'results')
    report = make_report([tmp_path / 'results'])
    assert report.images == len(NAMES) and 'There is no config' in report.html
    shutil.copytree(work_dir, tmp_path / 'run')
    config = next((tmp_path / 'run').glob('2*/vis_data/config.py'))
    config.write_text("import os\nos.system('touch run')  # <b>\n")
    report = make_report([tmp_path / 'run'])
    assert 'The config cannot be read' in report.html and '# &lt;b&gt;' in report.html


def test_folds_on_the_same_images_are_one_experiment(work_dir, tmp_path):
    data = work_dir.parent / 'data' / 'tiny'
    runs = [make_work_dir(tmp_path / f'fold_{fold}', data, fold=fold, shift=fold) for fold in (0, 1)]
    html = make_report(runs).html
    parts = [read_rows(run / 'test' / 'per_image.csv') for run in runs]
    means = [part['refined/Dice'].mean() for part in parts]
    assert float(row_of(html, 'Dice')[1]) == pytest.approx(np.mean(means), abs=5e-5)
    assert 'Means of 7 held-out test images' in html and 'Experiments compared' not in html
    assert [row_of(html, f'fold_{fold}')[1] for fold in (0, 1)] == [f'{mean:.4f}' for mean in means]
    assert [case['run'] for case in gallery(html)['cases']].count('fold_1') == len(gallery(html)['pictures']) == 7


def test_experiments_are_compared_on_the_images_they_share(work_dir, tmp_path):
    data = work_dir.parent / 'data' / 'tiny'
    other = make_work_dir(tmp_path / 'other', data, names=NAMES[:4], shift=2, refiner='ConvRefiner')
    html = make_report([work_dir, other]).html
    assert '2 experiments compared' in html and 'On the 4 images that all of them measured' in html
    first, second = (read_rows(run / 'test' / 'per_image.csv').set_index('name') for run in (work_dir, other))
    difference = (second['refined/Dice'] - first.loc[second.index, 'refined/Dice']).mean()
    table = re.search(r'aria-label="Experiments compared">.*?</table>', html, re.DOTALL)[0].replace(
        '\N{MINUS SIGN}', '-'
    )
    assert f'{difference:+.4f}' in table
    foreign = tmp_path / 'foreign'
    shutil.copytree(other, foreign)
    rows = read_rows(foreign / 'test' / 'per_image.csv')
    rows.assign(dataset='other').to_csv(foreign / 'test' / 'per_image.csv', index=False)
    assert 'No image was measured by all experiments' in make_report([work_dir, foreign]).html


def test_test_and_validation_images_are_not_mixed(work_dir, tmp_path):
    runs = [tmp_path / f'fold_{fold}' for fold in (0, 1)]
    for fold, run in enumerate(runs):
        make_work_dir(run, work_dir.parent / 'data' / 'tiny', fold=fold)
    (runs[1] / 'test').rename(runs[1] / 'val')
    report = make_report(runs)
    assert 'Its results in val/ are of other images' in report.html
    assert {case['run'] for case in gallery(report.html)['cases']} == {'fold_0'}
    assert len(gallery(make_report([runs[1]]).html)['cases']) == 7
    (runs[0] / 'test').rename(runs[0] / 'val')
    assert len(gallery(make_report(runs).html)['cases']) == 14


def test_every_class_has_its_cases_and_its_tables(tmp_path):
    make_data(tmp_path / 'tiny', NAMES[:3])
    run = make_work_dir(tmp_path / 'run', tmp_path / 'tiny', names=NAMES[:3], classes=('benign', 'malignant'))
    html = make_report([run]).html
    means = json.loads((run / 'test' / 'per_image.json').read_text())['means']
    assert row_of(html, 'Dice')[:2] == [f'{means["coarse/Dice"]:.4f}', f'{means["refined/Dice"]:.4f}']
    assert 'Class benign' in html and 'Class malignant' in html
    cases = gallery(html)['cases']
    assert [case['label'] for case in cases] == ['benign', 'malignant'] * 3
    assert [bool(case['layers']['truth']) for case in cases] == [True, False] * 3
    assert [case['stratum'] for case in cases] == ['large', 'none'] * 3


def test_command_line(tool, work_dir, tmp_path, capsys):
    out = tmp_path / 'page' / 'report.html'
    tool.main([str(work_dir), '--out', str(out), '--cases', '3', '--title', 'Mine'])
    assert '<title>Mine</title>' in out.read_text(encoding='utf-8')
    assert '3 images, 4 left out' in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_:
        tool.main([str(work_dir), '--out', str(out)])
    assert exit_.value.code == 2 and '--overwrite' in capsys.readouterr().err
    for _ in range(2):  # its own file it replaces
        tool.main([str(work_dir), '--cases', '0'])
    assert (work_dir / 'report.html').is_file()


def test_wrong_folders_are_refused(tool, work_dir, tmp_path, capsys):
    wrong = tmp_path / 'wrong'
    wrong.mkdir()
    damaged = tmp_path / 'damaged' / 'test'
    damaged.mkdir(parents=True)
    (damaged / 'per_image.csv').write_text('a,b\n1,2\n')
    for folders, message in (
        ([wrong], 'holds no training and no results'),
        ([tmp_path / 'nowhere'], 'is no folder'),
        ([work_dir, work_dir], 'given twice'),
        ([damaged.parent], "lacks the columns ['dataset'"),
    ):
        with pytest.raises(SystemExit) as exit_:
            tool.main([*map(str, folders), '--out', str(tmp_path / 'x.html')])
        assert exit_.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / 'x.html').exists()
