import importlib.util
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from ultrarefiner.apis.report import make_report
from ultrarefiner.apis.report_cases import choose_images
from ultrarefiner.data_preparation.splits import Splits
from ultrarefiner.evaluation import RefinementMetric
from ultrarefiner.evaluation.per_image_csv import read_rows, win_tie_loss
from ultrarefiner.structures import Prompts

PATH = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools' / 'report.py'
HOSTILE = '<b>"x".png'
NAMES = ('a1', 'a2', 'a3', 'missed', HOSTILE, 'Läsion & 病変', "'onload=alert(1) <!--<script>")
SIZE = (40, 48)


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('tool_report', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ellipse(x, y=20, radius=8):
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return ((rows - y) / radius) ** 2 + ((columns - x) / (radius + 3)) ** 2 <= 1


def make_data(root, names):
    """A converted dataset whose test images are those of the names."""
    for subset, members in (('test', names), ('train', ('t1', 't2'))):
        for kind in ('images', 'masks'):
            (root / subset / kind).mkdir(parents=True)
        for name in members:
            mask = (ellipse(24) * 255).astype(np.uint8)
            Image.fromarray(90 + mask // 4).save(root / subset / 'images' / f'{name}.png')
            Image.fromarray(mask).save(root / subset / 'masks' / f'{name}.png')
    groups = {name: name[:1] for name in (*names, 't1', 't2')} | {'t1': 't1', 't2': 't2'}
    Splits('tiny', 'grouped', 0, ['t1', 't2'], names, [['t1'], ['t2']], groups).save(root / 'splits.json')


def make_work_dir(path, data, names=NAMES, fold=0, shift=0, classes=('lesion',), refiner='SAMRefiner', **config):
    """What tools/train.py and tools/test.py leave, by the real metric; the coarse mask is off by 6 pixels."""
    dataset = dict(type='ConvertedDataset', data_root=str(data), subset='test')
    cfg = Config(
        dict(
            dataset='tiny',
            fold=fold,
            phase='joint',
            randomness=dict(seed=7),
            model=dict(
                type='CoarseToFine', refiner=dict(type=refiner), losses=[dict(type='StageDice', stage='refined')]
            ),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4)),
            test_dataloader=dict(batch_size=1, dataset=dataset),
            **config,
        )
    )
    start = path / '20240102_030405' / 'vis_data'
    start.mkdir(parents=True)
    (start / 'config.py').write_text(cfg.pretty_text)
    (path / 'the_config.py').write_text(cfg.pretty_text)
    lines = []
    for epoch in (1, 2, 3):
        lines.append(
            dict(loss=1 / epoch, loss_refined_StageDice=1 / epoch, epoch=epoch, iter=10 * epoch, step=10 * epoch)
        )
        dice = {'coarse/Dice': 0.6, 'refined/Dice': 0.6 + epoch / 100, 'delta/Dice': epoch / 100}
        lines.append(dict(**dice, step=epoch))
    (start / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    cost = dict(parameters=2_500_000, trainable=1_000, seconds=125.0, seconds_per_iteration=0.5, peak_memory=2**30)
    record = dict(fingerprint='f', splits={'tiny': 'abc'}, precision='float32', finished=True, cost=cost)
    (path / 'training.json').write_text(json.dumps(record))
    test(path / 'test', data, names, shift, classes)
    return path


def test(folder, data, names, shift, classes):
    metric = RefinementMetric(boundary_metrics=('HD95',), csv_path=folder / 'per_image.csv', stage_dir=folder)
    digest = Splits.load(data / 'splits.json').digest
    metric.dataset_meta = dict(classes=('background', *classes), subset='test', split_sha256=digest)
    for index, name in enumerate(names):
        refined = ellipse(24 + shift + index) * (name != 'missed')
        metric.process({}, [sample(name, ellipse(24), ellipse(30), refined, len(classes))])
    metric.compute_metrics(metric.results)


test.__test__ = False


def sample(name, truth, coarse, refined, slots):
    fields = dict(gt_sem_seg=truth, coarse_sem_seg=coarse, pred_sem_seg=refined)
    prompts = Prompts(
        points=torch.full((1, slots, 1, 2), 0.5),
        point_labels=torch.ones(1, slots, 1).long(),
        boxes=torch.tensor([0.25, 0.2, 0.75, 0.8]).expand(1, slots, 4),
    )
    made = {key: dict(data=torch.from_numpy(mask[None].astype(np.int64))) for key, mask in fields.items()}
    return dict(made, img_path=f'somewhere/{name}.png', dataset='tiny', quality=[0.7] * slots, prompts=prompts)


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp('report')
    make_data(root / 'data' / 'tiny', NAMES)
    return make_work_dir(root / 'run', root / 'data' / 'tiny')


@pytest.fixture(scope='module')
def page(work_dir):
    return make_report([work_dir]).html


def gallery(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])


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
    slot = cases['a1']['prompts']
    assert slot['points'] == [[0.5, 0.5]] and slot['labels'] == [1]
    assert slot['box'] == pytest.approx([0.25, 0.2, 0.75, 0.8])


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


def test_command_line(tool, work_dir, tmp_path, capsys):
    out = tmp_path / 'page' / 'report.html'
    tool.main([str(work_dir), '--out', str(out), '--cases', '3', '--title', 'Mine'])
    assert '<title>Mine</title>' in out.read_text(encoding='utf-8')
    assert '3 images, 4 left out' in capsys.readouterr().out
    with pytest.raises(SystemExit) as exit_:
        tool.main([str(work_dir), '--out', str(out)])
    assert exit_.value.code == 2 and '--overwrite' in capsys.readouterr().err


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


@pytest.fixture(scope='module')
def browser():
    chromium = shutil.which('chromium') or pytest.skip('needs chromium')
    sync_api = pytest.importorskip('playwright.sync_api')
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, work_dir, page, tmp_path):
    """The page in a window as wide as a telephone; fails on any message in the console or any request."""
    (tmp_path / 'report.html').write_text(page, encoding='utf-8')
    window = browser.new_page(viewport=dict(width=360, height=780))
    messages, requests = [], []
    window.on('console', lambda message: messages.append(message.text))
    window.on('pageerror', lambda error: messages.append(str(error)))
    window.on('dialog', lambda dialog: messages.append(dialog.message))
    window.on('request', lambda request: requests.append(request.url))
    window.goto((tmp_path / 'report.html').as_uri())
    yield window
    assert messages == []
    assert [url for url in requests if not url.startswith(('file://', 'data:'))] == []
    window.close()


def titles(window):
    return window.locator('.case-card strong').all_text_contents()


def test_the_page_fits_a_telephone(opened):
    assert opened.evaluate('document.documentElement.scrollWidth') <= 360
    opened.locator('.case-card').first.click()
    opened.locator('#case').wait_for()
    opened.keyboard.press('v')
    assert opened.evaluate("document.getElementById('case').scrollWidth") <= 360


def test_sorting_and_filtering(opened):
    assert opened.inner_text('#count') == '7 of 7 cases' and titles(opened)[0] == 'missed'
    opened.select_option('#sort', label='Best first')
    assert titles(opened)[0] == 'a1'
    opened.select_option('#sort', label='Most spoiled first')
    assert titles(opened)[0] == 'missed'
    opened.select_option('#outcome', 'missed')
    assert titles(opened) == ['missed']
    opened.click('#reset')
    opened.fill('#find', 'LÄSION')
    assert titles(opened) == ['Läsion & 病変'] and opened.inner_text('#count') == '1 of 7 cases'


def test_keys_and_anchors(opened):
    def shown():
        return opened.locator('#case-layers [aria-pressed=true]').all_inner_texts()

    opened.select_option('#sort', label='By name')
    opened.locator('.case-card', has_text='a1').focus()
    opened.keyboard.press('Enter')
    opened.locator('#case').wait_for()
    assert opened.inner_text('#case-title') == 'a1' and opened.url.endswith('#case/run/tiny/a1/lesion')
    for key, layer in enumerate(
        ('Image', 'Ground truth', 'Coarse', 'Prompts', 'Refined', 'Errors of refined'), start=1
    ):
        opened.keyboard.press(str(key))
        assert shown() == [layer]
    opened.keyboard.press('6')
    assert shown() == ['Errors of coarse']
    opened.keyboard.press('ArrowRight')
    assert opened.inner_text('#case-title') == 'a2'
    opened.keyboard.press('ArrowLeft')
    opened.keyboard.press('ArrowLeft')
    assert opened.inner_text('#case-title') not in ('a1', 'a2'), 'from the first to the last'
    opened.keyboard.press('v')
    assert opened.locator('#case-stage figure').count() == 7
    opened.keyboard.press('Escape')
    opened.locator('#case').wait_for(state='hidden')
    opened.wait_for_url(lambda url: '#' not in url)
    opened.keyboard.press('3')
    assert opened.get_attribute('#layers [data-key=coarse]', 'aria-pressed') == 'true'


def test_a_point_and_an_address_lead_to_their_case(opened):
    point = opened.locator('#change a').first
    wanted = point.get_attribute('href')
    point.focus()
    opened.keyboard.press('Enter')
    opened.locator('#case').wait_for()
    assert opened.url.endswith(wanted)
    hostile = next(case['id'] for case in gallery(opened.content())['cases'] if case['name'] == HOSTILE)
    opened.goto(f'{opened.url.split("#")[0]}#{hostile}')
    assert opened.inner_text('#case-title') == HOSTILE
    opened.reload()
    assert opened.inner_text('#case-title') == HOSTILE


def test_the_error_map_tells_right_too_much_and_missed_apart(opened):
    """The colour in the middle of the picture, left and right of it: the refined mask of a2 is off by one pixel."""
    opened.set_viewport_size(dict(width=1200, height=900))
    opened.locator('.case-card', has_text='a3').click()
    opened.locator('#case').wait_for()
    opened.keyboard.press('6')
    colour = """([x, y]) => {
        const svg = document.querySelector('#case-stage svg');
        const place = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
        return document.elementFromPoint(place.x, place.y).getAttribute('class');
    }"""
    left, right = 24 - 11, 24 + 11  # the ends of the ground truth; the mask is 2 pixels further right
    assert [opened.evaluate(colour, [x + 0.5, 20.5]) for x in (left, 24, right + 1)] == ['lacking', 'both', 'extra']
