"""Save pictures of what a config feeds its model: image, ground truth, coarse or corrupted mask, prompts.

The images come out of the config's own pipeline, with its augmentation. Needs no display and no GPU.

Example:
  python tools/analysis_tools/browse_dataset.py CONFIG --fold 0 --data-dir data --out work_dirs/browse --number 20
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmseg.structures import SegDataSample
from PIL import Image
from rich.progress import track

from ultrarefiner.apis.cli import add_config_arguments, one_message, run_options, run_tool, tool_parser
from ultrarefiner.apis.config import load_config
from ultrarefiner.engine.hooks.dataset_epoch_hook import set_epoch
from ultrarefiner.evaluation.overlap import overlap
from ultrarefiner.models.segmentors.coarse_to_fine import to_labels
from ultrarefiner.registry import DATASETS, PROMPT_GENERATORS
from ultrarefiner.structures import Prompts, SegOutput
from ultrarefiner.structures.stages import IGNORE_LABEL
from ultrarefiner.utils.result_path import result_path
from ultrarefiner.visualization.stage_panels import draw_stage_panels

EPS = 1e-6  # Of `PrecomputedCoarse`: probabilities are clamped so that their logits are finite.


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', type=Path, required=True, help='folder for the pictures, new or empty')
    parser.add_argument('--number', type=int, default=20, help='how many, evenly over the dataset (default: 20)')
    parser.add_argument('--subset', choices=['train', 'val', 'test'], default='train', help='default: train')
    parser.add_argument('--epoch', type=int, default=0, help='whose corrupted masks to show (default: 0)')
    add_config_arguments(parser)
    args = parser.parse_args(argv)

    with one_message():
        if args.number < 1:
            raise ValueError(f'--number is {args.number}, expected 1 or more')
        if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
            raise FileExistsError(f'{args.out} is not an empty folder; choose another')
        cfg = load_config(args.config, run_options(args))
        init_default_scope(cfg.default_scope)
        set_random_seed(cfg.randomness.seed)
        dataset = DATASETS.build(cfg[f'{args.subset}_dataloader'].dataset)
        set_epoch(dataset, args.epoch)
        generator = cfg.model.get('prompt_generator')
        generator = None if generator is None else PROMPT_GENERATORS.build(generator).eval()
        indices = np.unique(np.linspace(0, len(dataset) - 1, args.number).round().astype(int)).tolist()
        for index in track(indices, description=f'drawing {args.subset}'):
            save(dataset[index], generator, dataset.metainfo, args.out)
    print(f'{len(indices)} pictures of {len(dataset)} images written to {args.out}')


@torch.no_grad()
def save(packed: dict, generator, dataset_meta: dict, out: Path) -> None:
    """Draw one sample of the pipeline, and save it as ``{out}/{dataset}/{name}.png``."""
    sample: SegDataSample = packed['data_samples']
    image = packed['inputs'].expand(3, -1, -1).flip(0)  # The pipeline loads BGR, or grey.
    truth = sample.gt_sem_seg.data[0].numpy() if 'gt_sem_seg' in sample else None
    coarse, prompts = stages(sample, image, generator)
    classes = len(dataset_meta['classes']) - 1
    scores = {}
    if truth is not None and coarse is not None:
        counted = truth != IGNORE_LABEL
        dice = [overlap(coarse == k, truth == k, counted)['Dice'] for k in range(1, classes + 1)]
        scores['coarse'] = float(np.mean(dice))
    meta = sample.metainfo
    title = [meta.get('dataset'), Path(meta['img_path']).stem, f'{image.shape[2]} x {image.shape[1]}']
    corruption = meta.get('corruption')
    picture = draw_stage_panels(
        np.ascontiguousarray(image.permute(1, 2, 0).numpy()),
        truth,
        coarse,
        prompts,
        scores=scores,
        title=' | '.join(filter(None, (*title, corruption and f'corruption: {corruption}'))),
        class_colours=dataset_meta['palette'][1:] if classes > 1 else None,
    )
    path = result_path(out, meta)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def stages(sample: SegDataSample, image: torch.Tensor, generator) -> tuple[np.ndarray | None, Prompts | None]:
    """The coarse labels (H, W) and the prompts of a sample, where its pipeline brings a coarse probability."""
    if 'coarse_probability' not in sample:
        return None, None
    logits = sample.coarse_probability.data.clamp(EPS, 1 - EPS).logit()
    prompts = None if generator is None else generator(SegOutput(logits[None]), [image])
    return to_labels(logits)[0].numpy(), prompts


if __name__ == '__main__':
    run_tool(main)
