"""A model as ONNX files, with the program that runs them."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from ...models.segmentors import CoarseToFine
from ...utils.whole_folder import whole_folder
from .pipeline_file import PIPELINE_FILE, write_stages
from .stage_graphs import StageGraph

RUNNER = Path(__file__).resolve().with_name('onnx_pipeline.py')
NEEDED = ('onnx', 'onnxscript', 'onnxruntime')
# The first that knows an antialiased resize and sampling on a grid in the way that PyTorch does both.
OPSET = 20
# Beyond, the weights lie in a file of their own: protobuf ends at 2 GiB.
LARGEST_FILE = 2**30


def write_onnx(
    model: CoarseToFine,
    folder: str | Path,
    source: str,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, float]:
    """Write ``coarse.onnx``, ``image_encoder.onnx``, ``decoder.onnx``, ``pipeline.json`` and ``onnx_pipeline.py``.

    Each graph takes any number of images, and is compared with the model before the folder is there.

    Args:
        model (CoarseToFine): From `init_model`, on the CPU.
        folder (str | Path): To make.
        source (str): Where the model comes from, for messages.
        force (bool): Whether to replace an earlier export. Defaults to False.
        report (Callable, optional): Called with a line before each network, which can take minutes.

    Returns:
        dict[str, float]: The largest difference between ONNX and PyTorch by output.

    Raises:
        FileExistsError: If the folder is there already.
        ImportError: If a package is missing.
        ValueError: If the model has a part that cannot be exported, or a graph gives something else than the model.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'exporting to ONNX needs {", ".join(missing)}: pip install {" ".join(missing)}')
    with whole_folder(folder, PIPELINE_FILE, force) as partial:
        shutil.copy(RUNNER, partial)
        return write_stages(partial, model, source, '.onnx', write_graph, compare, report, opset=OPSET)


def write_graph(graph: StageGraph, path: Path) -> None:
    """Write one graph, with any number of images."""
    weights = sum(value.nbytes for value in graph.module.state_dict().values())
    log = logging.getLogger('onnxscript')
    level = log.level
    # The exporter tells about every layer that it does not simplify.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        log.setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                graph.module,
                tuple(graph.inputs.values()),
                path,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                opset_version=OPSET,
                dynamic_shapes={name: {0: torch.export.Dim('N')} for name in graph.inputs},
                external_data=weights > LARGEST_FILE,
                dynamo=True,
                verbose=False,
            )
        finally:
            log.setLevel(level)


def compare(graph: StageGraph, path: Path) -> dict[str, float]:
    """The largest difference between ONNX and PyTorch for one image, by output.

    Raises:
        ValueError: If it is more than rounding makes.
    """
    import onnxruntime

    inputs = graph.of_images(1)
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    given = session.run(list(graph.outputs), {name: value.numpy() for name, value in inputs.items()})
    return graph.differences(inputs, dict(zip(graph.outputs, map(torch.from_numpy, given))), path.name)
