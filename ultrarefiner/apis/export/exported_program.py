"""A model as programs of `torch.export`, which run without this package."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from ...models.segmentors import CoarseToFine
from ...utils.whole_folder import whole_folder
from .pipeline_file import PIPELINE_FILE, write_stages
from .stage_graphs import StageGraph


def write_exported_program(
    model: CoarseToFine,
    folder: str | Path,
    source: str,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, float]:
    """Write ``coarse.pt2``, ``image_encoder.pt2``, ``decoder.pt2`` and ``pipeline.json``.

    Args:
        model (CoarseToFine): From `init_model`, on the CPU.
        folder (str | Path): To make.
        source (str): Where the model comes from, for messages.
        force (bool): Whether to replace an earlier export. Defaults to False.
        report (Callable, optional): Called with a line before each network, which can take minutes.

    Returns:
        dict[str, float]: The largest difference between program and model by output.

    Raises:
        FileExistsError: If the folder is there already.
        ValueError: If the model has a part that cannot be exported, or a program gives something else than the model.
    """
    with whole_folder(folder, PIPELINE_FILE, force) as partial:
        return write_stages(partial, model, source, '.pt2', write_graph, compare, report)


def write_graph(graph: StageGraph, path: Path) -> None:
    """Write one program, with any number of images."""
    dynamic = {name: {0: torch.export.Dim('N')} for name in graph.inputs}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        program = torch.export.export(graph.module, tuple(graph.inputs.values()), dynamic_shapes=dynamic)
        torch.export.save(program, path)


def compare(graph: StageGraph, path: Path) -> dict[str, float]:
    """The largest difference between program and model for one image, by output.

    Raises:
        ValueError: If it is more than rounding makes.
    """
    inputs = graph.of_images(1)
    # torch warns of the memory that it reads a program into.
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        given = torch.export.load(path).module()(*inputs.values())
    return graph.differences(inputs, given, path.name)
