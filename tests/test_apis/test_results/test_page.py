"""The page is its template with every marker filled, and whatever was changed by hand is noticed."""

import shutil
from pathlib import Path

import pytest
from mmengine.fileio import load
from results_makers import IMAGES, change_dice, make_dataset, make_run
from run_tool import load_tool

from ultrarefiner.apis.results.collect import collect
from ultrarefiner.apis.results.families import with_results
from ultrarefiner.apis.results.page import PARTS, Results, render
from ultrarefiner.apis.results.runs import StoredRuns
from ultrarefiner.apis.results.update import outdated, pages, results_of

ROOT = Path(__file__).resolve().parents[3]
README = '# A\n\n<!-- results:begin -->\nold\n<!-- results:end -->\n\nrest\n'
METAFILE = """Collections:
  - Name: A
    README: configs/{0}/README.md

Models:
  - Name: {0}_small
    In Collection: A
    Results:
      - Task: Semantic Segmentation
        Dataset: old
        Metrics:
          Dice (coarse): 0.1
  - Name: other
    In Collection: A
    Results:
      - Task: Semantic Segmentation
        Dataset: by hand
        Metrics:
          Dice (coarse): 0.2
"""


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A checkout with collected runs of phases 1 and 2, and all pages up to date."""
    tmp_path = tmp_path_factory.mktemp('made')
    splits = make_dataset(tmp_path / 'data')
    tests = dict(transunet=dict.fromkeys(IMAGES, 0.5), sam_finetuned=dict.fromkeys(IMAGES, (0.5, 0.6)))
    for kind, dice in tests.items():
        config = 'ultrarefiner' if kind == 'sam_finetuned' else kind
        make_run(tmp_path / 'runs', tmp_path / 'data', splits, kind, 0, {'tiny': dice}, config=config)
    root = tmp_path / 'root'
    for family in ('transunet', 'unet', 'ultrarefiner'):
        (root / 'configs' / family).mkdir(parents=True)
        (root / 'configs' / family / 'README.md').write_text(README)
        (root / 'configs' / family / 'metafile.yml').write_text(METAFILE.format(family))
    (root / 'docs/results').mkdir(parents=True)
    template = (
        'Refining adds {{ difference tiny tiny phase2 Dice }}.\n\n{{ headline tiny tiny }}\n\n{{ curves tiny }}\n'
    )
    (root / 'docs/results/template.md').write_text(template)
    collect(tmp_path / 'runs', root / 'docs/results/runs')
    shutil.rmtree(tmp_path / 'data')  # a fresh clone has no data
    shutil.rmtree(tmp_path / 'runs')
    assert load_tool('misc/update_results.py').main(['--root', str(root)]) == 0
    return root


@pytest.fixture
def checkout(made, tmp_path):
    """A copy of it to change."""
    return Path(shutil.copytree(made, tmp_path / 'root'))


def check(root):
    return load_tool('misc/update_results.py').main(['--check', '--root', str(root)])


def test_page_has_numbers_tables_and_pictures(checkout):
    page = (checkout / 'docs/results.md').read_text()
    assert 'Refining adds **+0.1000** [+0.1000, +0.1000].' in page
    assert '| refined, phase 2 | 0.6000 |' in page
    assert '](results/curves_tiny.png)' in page and (checkout / 'docs/results/curves_tiny.png').is_file()
    assert '{{' not in page


def test_check_is_content_with_what_was_written(checkout, capsys):
    assert check(checkout) == 0 and capsys.readouterr().out == ''


def test_check_notices_an_edited_number(checkout, capsys):
    page = checkout / 'docs/results.md'
    page.write_text(page.read_text().replace('0.6000', '0.6100'))
    assert check(checkout) == 1
    assert capsys.readouterr().out == 'out of date: docs/results.md\n'


@pytest.mark.parametrize('name', ['README.md', 'metafile.yml'])
def test_check_notices_an_edited_family(checkout, name, capsys):
    page = checkout / 'configs/ultrarefiner' / name
    page.write_text(page.read_text().replace('0.6000', '0.6100'))
    assert check(checkout) == 1
    assert capsys.readouterr().out == f'out of date: configs/ultrarefiner/{name}\n'


def test_check_notices_another_run_file(checkout):
    path = checkout / 'docs/results/runs/tiny/checkpoints/transunet/fold_0/tests/tiny/per_image.csv.gz'
    change_dice(path, 'a1', 0.9)
    stale = outdated(pages(checkout, results_of(checkout)))
    assert [page.relative_to(checkout).as_posix() for page in stale] == [
        'docs/results.md',
        'configs/transunet/README.md',
        'configs/transunet/metafile.yml',
    ]


def test_families_show_their_own_stages(checkout):
    text = (checkout / 'configs/ultrarefiner/README.md').read_text()
    assert '| `ultrarefiner_small` | tiny | tiny, 4 | 0 | coarse, phase 2 | 0.5000 |' in text
    assert '| `ultrarefiner_small` | tiny | tiny, 4 | 0 | refined, phase 2 | 0.6000 |' in text
    assert text.startswith('# A\n') and text.endswith('\n\nrest\n') and '\nold\n' not in text
    assert 'No results yet' in (checkout / 'configs/unet/README.md').read_text()


def test_metafiles_get_the_results_of_collected_configs_alone(checkout):
    mine, other = load(checkout / 'configs/ultrarefiner/metafile.yml')['Models']
    (result,) = mine['Results']
    assert result['Dataset'] == 'tiny, 4 test images, trained on tiny, seed 0'
    assert result['Metrics']['Dice (coarse)'] == 0.5 and result['Metrics']['Dice (refined)'] == 0.6
    assert result['Metrics']['HD95 (refined)'] == 40.0
    assert other['Results'][0]['Dataset'] == 'by hand'
    assert load(checkout / 'configs/unet/metafile.yml')['Models'][0]['Results'][0]['Dataset'] == 'old'


def test_a_metafile_without_measured_configs_stays_as_it_is():
    text = METAFILE.format('unet')
    assert with_results(text, []) == text


def test_a_readme_without_a_place_is_told(checkout):
    (checkout / 'configs/unet/README.md').write_text('# A\n')
    with pytest.raises(ValueError, match='results:begin'):
        pages(checkout, results_of(checkout))


def test_markers_without_runs_say_so(tmp_path):
    results = Results(StoredRuns(tmp_path), tmp_path)
    words = {'TRAINING_SET': 'x', 'TEST_SET': 'y', 'ROW': 'phase2', 'DIFFERENCE': 'phase2', 'METRIC': 'Dice'}
    for name, part in PARTS.items():
        marker = f'{{{{ {" ".join([name, *(words[word] for word in part.arguments.split())])} }}}}'
        text = render(marker, results)
        assert ('(not there yet: ' in text) if part.in_text else ('*Not there yet: ' in text), name


@pytest.mark.parametrize(
    ('marker', 'message'),
    [
        ('headlin a b', 'did you mean headline?'),
        ('headline a', 'expected {{ headline TRAINING_SET TEST_SET }}'),
        ('value a b phase4 Dice', "there is no row 'phase4'"),
        ('value a b phase3 Dica', 'did you mean Dice?'),
        ('p a b phase', "there is no difference 'phase'"),
    ],
)
def test_a_wrong_marker_is_told(tmp_path, marker, message):
    with pytest.raises(ValueError) as caught:
        render(f'{{{{ {marker} }}}}', Results(StoredRuns(tmp_path), tmp_path))
    assert message in str(caught.value)


def test_the_pages_of_the_project_are_up_to_date():
    stale = [page.relative_to(ROOT).as_posix() for page in outdated(pages(ROOT, results_of(ROOT)))]
    assert stale == [], 'run: python tools/misc/update_results.py'


def test_the_pictures_of_the_project_are_there():
    page = (ROOT / 'docs/results.md').read_text()
    shown = [line for line in page.splitlines() if line.startswith('![')]
    assert all((ROOT / 'docs' / line.rpartition('(')[2].rstrip(')')).is_file() for line in shown)


def test_tools_collect_and_refuse(tmp_path, capsys):
    splits = make_dataset(tmp_path / 'data')
    make_run(tmp_path / 'runs', tmp_path / 'data', splits, 'unet', 0, {'tiny': dict.fromkeys(IMAGES, 0.5)})
    tool = load_tool('misc/collect_runs.py')
    tool.main([str(tmp_path / 'runs'), str(tmp_path / 'out')])
    assert 'tiny/checkpoints/unet/fold_0: tiny' in capsys.readouterr().out
    shutil.rmtree(tmp_path / 'runs/tiny')
    with pytest.raises(SystemExit) as ended:
        tool.main([str(tmp_path / 'runs'), str(tmp_path / 'out')])
    assert ended.value.code == 2
