"""WebPage: what the page of tools/demo/web.py answers to its visitors; `build_page` makes it a gradio app."""

from __future__ import annotations

import base64
import os
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...data_preparation.images import png_bytes
from ...data_preparation.phantom import make_phantom
from ...datasets.image_header import read_header
from ...models.segmentors import CoarseToFine
from ...structures import Prompts
from ...structures.prompts import KINDS
from ...utils.stage_files import mask_picture
from ...visualization.report import mask_path, picture_size, picture_uri
from ..inference.image_sources import SAVE_AS_PNG
from .interactive import InteractiveRefinement

MAX_PIXELS = 40_000_000
MAX_FILE_MB = 200
SHOWN_SIDE = 1280  # pixels of the longer side of the picture on the page
VISITORS = 16  # whose images are held at the same time; the one that has waited longest is forgotten first
PHANTOMS = ('benign', 'malignant', 'normal')
PROVENANCE = ('dataset', 'fold', 'phase', 'epoch')
FORGOTTEN = 'this image is no longer held; open it again'


class WebPage:
    """Holds the image of each visitor, changes its prompts as asked, and describes the result for the page.

    Args:
        model (CoarseToFine): From `init_model`; all visitors share it.
        name (str): What the page calls it.
        upload_dir (str | Path): Where the server puts what visitors drop; nothing else is read.

    Raises:
        ValueError: If the model has no coarse network.
    """

    def __init__(self, model: CoarseToFine, name: str, upload_dir: str | Path):
        InteractiveRefinement(model)  # Refuses what cannot be opened before there is a server.
        self.model = model
        self.name = name
        self.upload_dir = Path(upload_dir).resolve()
        self._visitors: OrderedDict[str, tuple[str, InteractiveRefinement]] = OrderedDict()

    def description(self) -> dict:
        """What the page shows of the model before an image is open."""
        provenance = {key: self.model.provenance[key] for key in PROVENANCE if key in self.model.provenance}
        classes = list(self.model.dataset_meta['classes'][1:])
        accepts = frozenset() if self.model.refiner is None else self.model.refiner.accepts
        return dict(
            name=self.name,
            provenance={key: _text(value) for key, value in provenance.items()},
            classes=classes,
            palette=self.model.dataset_meta['palette'][1:],
            refines=self.model.refiner is not None,
            accepts=[kind for kind in KINDS if kind in accepts],
            phantoms=list(PHANTOMS),
            max_file_mb=MAX_FILE_MB,
        )

    def answer(self, visitor: str, action: dict) -> dict:
        """Do what a visitor asks, and never raise: a mistake becomes a message.

        Args:
            visitor (str): Whose image it is about.
            action (dict): ``do`` says what: 'open' (``path``, ``name``), 'phantom' (``label``), 'undo', 'reset', or a
                method of `PromptEditor` with its arguments; ``seq`` is given back.

        Returns:
            dict: ``seq``; ``message`` if something went wrong; ``image`` if one was opened; ``prompts`` and ``result``.
        """
        answer: dict[str, Any] = dict(seq=action.get('seq'))
        arguments = {key: value for key, value in action.items() if key not in ('do', 'seq')}
        try:
            answer |= self._do(visitor, str(action.get('do')), arguments)
        except (IndexError, KeyError, OSError, TypeError, ValueError) as error:
            answer['message'] = _sentence(error)
        except torch.OutOfMemoryError:
            answer['message'] = 'There is not enough memory on the device for this image; take a smaller one.'
        except Exception:  # A bug; the page goes on, the terminal has the details.
            traceback.print_exc()
            answer['message'] = 'This failed on the server; the terminal that it runs in says why.'
        held = self._visitors.get(visitor)  # One look: `forget` comes from another thread.
        if 'prompts' not in answer and held is not None:
            # What the page shows is put right again.
            answer['prompts'] = _prompts(held[1])
        return answer

    def forget(self, visitor: str) -> None:
        """Drop the image of a visitor who has left."""
        self._visitors.pop(visitor, None)

    def _do(self, visitor: str, what: str, arguments: dict) -> dict:
        if what in ('open', 'phantom'):
            return self._open_upload(visitor, **arguments) if what == 'open' else self._phantom(visitor, **arguments)
        if visitor not in self._visitors:
            raise ValueError(FORGOTTEN)
        self._visitors.move_to_end(visitor)
        name, refinement = self._visitors[visitor]
        steps = ('add_point', 'keep', 'move_box', 'move_point', 'remove_point', 'reset', 'undo')
        if what not in steps or refinement.editor is None:
            raise ValueError(f'there is nothing that is called {what}')
        getattr(refinement.editor, what)(**arguments)
        return dict(prompts=_prompts(refinement), result=_result(name, refinement))

    def _open_upload(self, visitor: str, path: str, name: str) -> dict:
        file = Path(path).resolve()
        if not file.is_relative_to(self.upload_dir):
            raise ValueError('only files that were dropped on the page are opened')
        try:
            return self._open(visitor, Path(name).stem, partial(_checked, file))
        except (OSError, ValueError) as error:
            raise ValueError(str(error).replace(path, f'“{name}”').replace(str(file), f'“{name}”')) from error
        finally:
            # Images of patients are not left behind.
            file.unlink(missing_ok=True)

    def _phantom(self, visitor: str, label: str) -> dict:
        if label not in PHANTOMS:
            raise ValueError(f'there is no phantom {label}; there are {", ".join(PHANTOMS)}')
        seed = int(np.random.default_rng().integers(1000))
        image = make_phantom(label, np.random.default_rng(seed)).image
        return self._open(visitor, f'phantom_{label}_{seed}', lambda: image)

    def _open(self, visitor: str, name: str, find: Callable[[], Any]) -> dict:
        refinement = InteractiveRefinement(self.model)
        start = time.perf_counter()
        refinement.open(find())
        seconds = time.perf_counter() - start
        self._visitors[visitor] = name, refinement
        self._visitors.move_to_end(visitor)
        while len(self._visitors) > VISITORS:
            self._visitors.popitem(last=False)
        height, width = refinement.size
        shown = picture_size(width, height, SHOWN_SIDE)
        image = dict(
            name=name,
            width=width,
            height=height,
            shown=shown,
            picture=picture_uri(Image.fromarray(refinement.image), SHOWN_SIDE),
            seconds=seconds,
            coarse=_areas(refinement.labels(refinement.coarse), len(self.model.dataset_meta['classes']) - 1),
        )
        return dict(image=image, prompts=_prompts(refinement), result=_result(name, refinement))


def build_page(model: CoarseToFine, name: str) -> Any:
    """The page as a gradio app.

    Args:
        model (CoarseToFine): From `init_model`.
        name (str): What the page calls it.

    Returns:
        gradio.Blocks: Not launched yet, see `launch_options`.

    Raises:
        ImportError: If gradio is not installed.
        ValueError: If the model has no coarse network.
    """
    gradio = import_gradio()
    page = WebPage(model, name, gradio.utils.get_upload_folder())

    def act(event: Any, request: Any) -> dict:
        return page.answer(request.session_hash, event._data)

    def leave(request: Any) -> None:
        page.forget(request.session_hash)

    # gradio gives what the types of the arguments ask for; written there, they would need gradio to be installed.
    act.__annotations__.update(event=gradio.EventData, request=gradio.Request)
    leave.__annotations__.update(request=gradio.Request)
    with gradio.Blocks(title=f'{name} · ultrarefiner', analytics_enabled=False, fill_width=True) as app:
        editor = gradio.HTML(
            value=page.description(),
            html_template=_asset('editor.html'),
            css_template=_asset('editor.css'),
            js_on_load=_asset('editor.js') + _asset('editor_input.js'),
            apply_default_css=False,
            elem_id='editor',
        )
        # One at a time, in their order: a step rests on the one before.
        editor.act(
            act, None, editor, show_progress='hidden', trigger_mode='multiple', concurrency_limit=1, api_name=False
        )
        app.unload(leave)
    return app


def launch_options(port: int, share: bool = False) -> dict:
    """Arguments of ``launch`` with which the page asks nothing of any other machine, unless it is shared.

    Args:
        port (int): On this machine alone, 127.0.0.1.
        share (bool): Whether gradio makes the page public, through a server of its makers. Defaults to False.
    """
    gradio = import_gradio()
    fonts = ('system-ui', 'sans-serif')
    return dict(
        server_name='127.0.0.1',
        server_port=port,
        share=share,
        theme=gradio.themes.Base(font=fonts, font_mono=('ui-monospace', 'monospace')),
        css=_asset('frame.css'),
        footer_links=[],
        max_file_size=f'{MAX_FILE_MB}mb',
        ssr_mode=False,
        quiet=True,
        prevent_thread_lock=True,
    )


def import_gradio() -> Any:
    """The optional package gradio, told to report nothing to its makers.

    Raises:
        ImportError: If it is not installed.
    """
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    try:
        import gradio
    except ModuleNotFoundError as error:
        if error.name != 'gradio':
            raise
        raise ImportError("the page needs gradio, which is not installed: pip install 'gradio>=6'") from error
    return gradio


def _checked(file: Path) -> Path:
    """The file, unless it is no image, or one that is too large for a page or of more than 8 bits."""
    try:
        header = read_header(file)
    except Image.DecompressionBombError as error:
        raise ValueError(f'{file} is too large for this page; cut it, or use tools/predict.py') from error
    except OSError as error:
        raise ValueError(f'{file} is no image that can be read; take a PNG, JPEG, BMP or TIFF file') from error
    if not header.is_eight_bit:
        raise ValueError(f'{file} has more than 8 bits a channel (mode {header.mode}); {SAVE_AS_PNG}')
    if header.height * header.width > MAX_PIXELS:
        raise ValueError(
            f'{file} has {header.width} × {header.height} pixels, and this page takes up to '
            f'{MAX_PIXELS // 1_000_000} million; cut it, or use tools/predict.py'
        )
    return file


def _prompts(refinement: InteractiveRefinement) -> dict | None:
    """The prompts as plain values, coordinates to the last bit; None without a refiner."""
    editor = refinement.editor
    if editor is None:
        return None
    prompts = editor.all_prompts
    slots = []
    for k, (name, is_open) in enumerate(zip(refinement.slot_names(), refinement.open_slots())):
        valid = prompts.valid is None or bool(prompts.valid[0, k])
        slots.append(dict(name=name, valid=valid, open=is_open, **_slot(prompts, k)))
    return dict(
        slots=slots,
        kinds=sorted(editor.kinds),
        present=sorted(prompts.kinds),
        changed=editor.is_changed,
    )


def _slot(prompts: Prompts, k: int) -> dict:
    box, points, labels = None, [], []
    if prompts.boxes is not None:
        box = prompts.boxes[0, k].tolist()
    if prompts.points is not None and prompts.point_labels is not None:
        given = prompts.point_labels[0, k] >= 0
        points, labels = prompts.points[0, k][given].tolist(), prompts.point_labels[0, k][given].tolist()
    return dict(box=box, points=points, labels=labels)


def _result(name: str, refinement: InteractiveRefinement) -> dict:
    """Outlines, areas and the file of the mask: of the refined one, or of the coarse one without a refiner."""
    start = time.perf_counter()
    output = refinement.coarse if refinement.editor is None else refinement.refine()
    labels = refinement.labels(output)
    seconds = time.perf_counter() - start
    slots = output.logits.shape[1]
    file = base64.b64encode(png_bytes(Image.fromarray(mask_picture(labels, slots)))).decode()
    return dict(
        **_areas(labels, slots),
        quality=None if output.quality is None else output.quality[0].tolist(),
        seconds=None if refinement.editor is None else seconds,
        mask=f'data:image/png;base64,{file}',
        file_name=f'{name}_mask.png',
    )


def _areas(labels: np.ndarray, slots: int) -> dict:
    """Outline and number of pixels of each class in labels (H, W)."""
    masks = [labels == k + 1 for k in range(slots)]
    return dict(paths=[mask_path(mask, SHOWN_SIDE) for mask in masks], areas=[int(mask.sum()) for mask in masks])


def _sentence(error: Exception) -> str:
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip()
    return f'{text[:1].upper()}{text[1:]}.' if text else f'{type(error).__name__}.'


def _text(value: Any) -> str:
    return ', '.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _asset(name: str) -> str:
    return (files(__package__) / 'assets' / name).read_text(encoding='utf-8')
