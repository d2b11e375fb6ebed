"""pipeline.json: what a program has to know to run exported graphs one after the other."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from ... import __version__
from ...models.segmentors import CoarseToFine
from .stage_graphs import StageGraph

PIPELINE_FILE = 'pipeline.json'


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
