"""The page to try a model: what it answers, that it is served to this machine alone, and that it works in a browser."""

import base64
import io
import signal
import socket
import subprocess
import sys
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import torch
from PIL import Image
from run_tool import load_tool
from small_checkpoint import small_checkpoint

from ultrarefiner.apis.init_model import init_model
from ultrarefiner.apis.web import web_page
from ultrarefiner.apis.web.interactive import InteractiveRefinement
from ultrarefiner.apis.web.web_page import WebPage, build_page, launch_options

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'demo' / 'web.py'
# gradio's, of pandas.
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning:gradio.queueing')

GENERATORS = [dict(type='SoftQuantileBox'), dict(type='LogitMaskPrompt')]


@pytest.fixture(scope='module')
def checkpoint(small_parts, tmp_path_factory):
    path = tmp_path_factory.mktemp('web') / 'best.pth'
    return small_checkpoint(small_parts, path, prompt_generator=dict(type='ComposePrompts', generators=GENERATORS))


@pytest.fixture(scope='module')
def model(checkpoint):
    return init_model(checkpoint, device='cpu')


@pytest.fixture
def page(model, tmp_path):
    return WebPage(model, 'tiny', tmp_path)


@pytest.fixture
def dropped(tiny_root, tmp_path):
    """Put a file where the server puts what is dropped; gives the arguments of 'open'."""

    def dropped(content=None, name='scan.png'):
        path = tmp_path / 'upload.bin'
        path.write_bytes((tiny_root / 'test' / 'images' / 't8.png').read_bytes() if content is None else content)
        return dict(do='open', seq=1, path=str(path), name=name)

    return dropped


def test_an_image_is_opened_refined_and_not_kept(page, model, dropped, tiny_root, tmp_path):
    answer = page.answer('a', dropped())
    by_hand = InteractiveRefinement(model)
    by_hand.open(tiny_root / 'test' / 'images' / 't8.png')
    mask = np.array(Image.open(io.BytesIO(base64.b64decode(answer['result']['mask'].partition(',')[2]))))
    assert (mask == 255 * by_hand.labels(by_hand.refine())).all()
    assert answer['result']['areas'] == [int((mask > 0).sum())] and answer['result']['file_name'] == 'scan_mask.png'
    assert (answer['image']['width'], answer['image']['height'], answer['seq']) == (48, 40, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_change_comes_back_exactly_and_is_undone(page, dropped):
    first = page.answer('a', dropped())
    assert first['prompts']['kinds'] == first['prompts']['present'] == ['boxes', 'masks']
    box = [0.1, 1 / 3, 0.7, 0.9]
    moved = page.answer('a', dict(do='move_box', slot=0, box=box, seq=2))
    assert moved['prompts']['slots'][0]['box'] == torch.tensor(box).tolist() and moved['prompts']['changed']
    assert moved['result']['paths'] != first['result']['paths']
    pointed = page.answer('a', dict(do='add_point', slot=0, point=[0.5, 0.5], positive=False))
    assert pointed['prompts']['slots'][0]['labels'] == [0] and 'points' in pointed['prompts']['kinds']
    page.answer('a', dict(do='undo'))
    last = page.answer('a', dict(do='undo'))
    assert last['prompts'] == first['prompts'] and last['result']['paths'] == first['result']['paths']


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'PNG')
    return file.getvalue()


def test_mistakes_are_one_message(page, dropped, monkeypatch, tmp_path):
    def message(action):
        return page.answer('a', action)['message']

    assert message(dropped(b'no image', 'notes.txt')).startswith('“notes.txt” is no image that can be read; take a PNG')
    text = message(dropped(png(np.zeros((40, 40), np.uint8))[:-20], 'cut.png'))
    assert '“cut.png”' in text and str(tmp_path) not in text
    assert message(dropped(png(np.zeros((40, 40), np.uint16)), 'deep.png')).startswith(
        '“deep.png” has more than 8 bits'
    )
    assert message(dict(do='open', path='/etc/hostname', name='x.png')) == (
        'Only files that were dropped on the page are opened.'
    )
    assert message(dict(do='move_box', slot=0, box=[0, 0, 1, 1])) == 'This image is no longer held; open it again.'
    monkeypatch.setattr(web_page, 'MAX_PIXELS', 100)
    assert message(dropped()).startswith('“scan.png” has 48 × 40 pixels, and this page takes up to 0 million')
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_change_leaves_the_prompts(page, dropped):
    before = page.answer('a', dropped())['prompts']
    answer = page.answer('a', dict(do='keep', kinds=[], seq=7))
    assert 'no kind of prompt is left'.capitalize() in answer['message']
    assert answer['prompts'] == before and answer['seq'] == 7
    for wrong in (dict(do='move_box', slot=5, box=[0, 0, 1, 1]), dict(do='__init__'), dict(do='undo', slot=1), {}):
        assert page.answer('a', wrong)['message'].endswith('.')


def test_visitors_have_images_of_their_own_and_the_oldest_is_forgotten(page, dropped, monkeypatch):
    monkeypatch.setattr(web_page, 'VISITORS', 2)
    for visitor in 'abac':
        page.answer(visitor, dropped())
    page.answer('a', dict(do='move_box', slot=0, box=[0, 0, 0.5, 0.5]))
    assert page.answer('a', dict(do='reset'))['prompts']['changed']
    assert not page.answer('c', dict(do='reset'))['prompts']['changed']
    assert 'no longer held' in page.answer('b', dict(do='undo'))['message']
    page.forget('a')
    assert 'no longer held' in page.answer('a', dict(do='undo'))['message']


def test_a_phantom_is_made(page):
    image = page.answer('a', dict(do='phantom', label='benign'))['image']
    assert image['name'].startswith('phantom_benign_') and image['picture'].startswith('data:image/jpeg;base64,')
    assert 'there are benign, malignant, normal' in page.answer('a', dict(do='phantom', label='x'))['message']


def test_phase_1_shows_its_coarse_mask(small_parts, tmp_path, dropped):
    path = small_checkpoint(small_parts, tmp_path / 'coarse.pth', phase=1)
    page = WebPage(init_model(path, device='cpu'), 'tiny', tmp_path)
    assert page.description()['refines'] is False
    answer = page.answer('a', dropped())
    assert answer['prompts'] is None and answer['result']['seconds'] is None
    assert answer['result']['areas'] == answer['image']['coarse']['areas']
    assert (
        'nothing that is called move_box' in page.answer('a', dict(do='move_box', slot=0, box=[0, 0, 1, 1]))['message']
    )


def test_without_gradio_the_remedy_is_told(model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gradio', None)
    with pytest.raises(ImportError, match="pip install 'gradio>=6'"):
        build_page(model, 'tiny')


def test_a_port_that_is_taken_is_told():
    tool = load_tool(TOOL)
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf'port {port} cannot be used .* give another port, such as --port'):
            tool.check_port(port)
    tool.check_port(free_port())
    with pytest.raises(ValueError, match='--port is 70000, expected'):
        tool.check_port(70000)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.mark.slow  # Starts a Python of its own with torch and gradio.
def test_the_tool_serves_and_ends_on_ctrl_c(checkpoint):
    pytest.importorskip('gradio')
    command = [sys.executable, str(TOOL), checkpoint, '--port', str(free_port()), '--device', 'cpu']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline()
            assert line.startswith('open http://127.0.0.1:'), line + server.stderr.read()
            server.send_signal(signal.SIGINT)
            out, err = server.communicate(timeout=30)
        finally:
            server.kill()
    assert (server.returncode, out) == (0, '\nended\n') and 'Traceback' not in err


@pytest.fixture(scope='module')
def served(model):
    """The address of the page of the tiny model."""
    pytest.importorskip('gradio')
    app = build_page(model, 'tiny')
    _, address, _ = app.launch(**launch_options(free_port()))
    yield address
    app.close(verbose=False)


@pytest.fixture
def browser_page(served):
    """The page in a real browser; gives it, what it asks for, and what it complains about."""
    chromium = which('chromium') or which('chromium-browser') or which('google-chrome')
    if chromium is None:
        pytest.skip('there is no chromium')
    playwright = pytest.importorskip('playwright.sync_api')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        page = browser.new_page(viewport=dict(width=1200, height=900))
        asked, complaints = [], []
        page.on('request', lambda request: asked.append(request.url))
        page.on('console', lambda message: complaints.append(message.text))
        page.on('pageerror', lambda error: complaints.append(str(error)))
        page.goto(served)
        page.wait_for_selector('.ur-page')
        yield page, asked, complaints
        browser.close()


def test_a_box_is_dragged_and_points_are_added_and_removed(browser_page, tiny_root, tmp_path):
    page, asked, complaints = browser_page
    page.set_input_files('[data-id=file]', str(tiny_root / 'test' / 'images' / 't8.png'))
    page.wait_for_selector('[data-handle=se]')
    first, box = outline(page), place(page, '[data-id=box]')

    drag(page, '[data-handle=se]', -60, -40)
    page.wait_for_function(
        'before => document.querySelector("[data-id=refined]").getAttribute("d") !== before', arg=first
    )
    smaller = place(page, '[data-id=box]')
    assert np.allclose([box['width'] - smaller['width'], box['height'] - smaller['height']], [60, 40], atol=1.5)

    page.mouse.click(smaller['x'] + 30, smaller['y'] + 40)
    page.check('[value=negative]')
    page.mouse.click(smaller['x'] + 90, smaller['y'] + 40)
    page.wait_for_selector('.ur-point.ur-minus')
    assert page.locator('.ur-point').count() == 2
    page.focus('.ur-point.ur-minus')
    page.keyboard.press('Delete')
    assert page.locator('.ur-point').count() == 1

    page.uncheck('[data-id=kinds] [value=boxes]')
    page.wait_for_selector('.ur-box.ur-off')
    page.click('[data-id=reset]')
    page.wait_for_function(
        'before => document.querySelector("[data-id=refined]").getAttribute("d") === before', arg=first
    )
    assert page.locator('.ur-point').count() == 0 and page.is_checked('[data-id=kinds] [value=boxes]')

    with page.expect_download() as download:
        page.click('[data-id=download]')
    download.value.save_as(tmp_path / 'mask.png')
    assert Image.open(tmp_path / 'mask.png').size == (48, 40) and download.value.suggested_filename == 't8_mask.png'
    assert complaints == [] and [url for url in asked if '127.0.0.1' not in url and not url.startswith('data:')] == []


def outline(page):
    return page.get_attribute('[data-id=refined]', 'd')


def place(page, selector):
    return page.locator(selector).bounding_box()


def drag(page, selector, dx, dy):
    at = place(page, selector)
    x, y = at['x'] + at['width'] / 2, at['y'] + at['height'] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx / 2, y + dy / 2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()
