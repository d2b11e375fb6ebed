"""The networks of a model as files, and pipeline.json: what a program has to know to run them one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from ... import __version__
from ...models.segmentors import CoarseToFine
from .stage_graphs import StageGraph, stage_graphs

PIPELINE_FILE = 'pipeline.json'


def write_stages(
    folder: Path,
    model: CoarseToFine,
    source: str,
    ending: str,
    write_graph: Callable[[StageGraph, Path], None],
    compare: Callable[[StageGraph, Path], dict[str, float]],
    report: Callable[[str], None],
    **more: object,
) -> dict[str, float]:
    """Write each network of a model, and compare it with the model; then the pipeline file.

    Args:
        folder (Path): Of the export.
        model (CoarseToFine): From `init_model`, on the CPU.
        source (str): Where the model comes from, for messages.
        ending (str): Of the files of the networks.
        write_graph (Callable): Writes one.
        compare (Callable): Gives its largest differences from the model by output; raises where they are too large.
        report (Callable): Called with a line before each network.
        **more: Further entries of the pipeline file.

    Returns:
        dict[str, float]: The largest differences of all.
    """
    graphs = stage_graphs(model, source)
    files = {stage: f'{stage}{ending}' for stage in graphs}
    differences: dict[str, float] = {}
    for stage, graph in graphs.items():
        report(f'{files[stage]}: {graph.parameters:,} parameters')
        write_graph(graph, folder / files[stage])
        differences |= compare(graph, folder / files[stage])
    write_pipeline_file(folder, model, graphs, files, differences=differences, **more)
    return differences


def write_pipeline_file(
    folder: Path, model: CoarseToFine, graphs: dict[str, StageGraph], files: dict[str, str], **more: object
) -> None:
    """Write the file.

    Args:
        folder (Path): Of the export.
        model (CoarseToFine): From `init_model`.
        graphs (dict[str, StageGraph]): By stage.
        files (dict[str, str]): The name of each stage's file.
        **more: Further entries.
    """
    profiles = model.input_profiles()
    if 'refiner' in profiles:
        profiles['image_encoder'] = profiles.pop('refiner')
    stages: dict[str, dict] = {}
    for stage, graph in graphs.items():
        stages[stage] = dict(file=files[stage])
        if stage in profiles:
            stages[stage]['input_profile'] = profiles[stage]
        for kind in ('inputs', 'outputs'):
            stages[stage][kind] = {name: described(value) for name, value in getattr(graph, kind).items()}
    content = dict(
        ultrarefiner=__version__,
        torch=torch.__version__,
        **more,
        classes=list(model.dataset_meta['classes']),
        palette=model.dataset_meta['palette'],
        provenance=model.provenance,
        stages=stages,
    )
    (folder / PIPELINE_FILE).write_text(json.dumps(content, indent=1))


def described(value: torch.Tensor) -> dict:
    """Type and shape of an input or output; N stands for any number of images."""
    return dict(dtype=str(value.dtype).removeprefix('torch.'), shape=['N', *value.shape[1:]])
