"""Fit a preset of the mask corruption to the errors of a coarse network, and say how close it comes.

Reads out-of-fold predictions and the ground truth of the training images. The preset that it writes is an argument of
the transform: dict(type='CorruptMask', preset='preset.json').

Example:
  python tools/analysis_tools/fit_corruption.py out/predictions/busi/predictions data/busi --out preset.json
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.corruption import PRESETS, Preset
from ultrarefiner.corruption.fitting import compare, fit_preset, measure_all, simulate, to_working_size
from ultrarefiner.datasets import ConvertedDataset
from ultrarefiner.structures.stages import IGNORE_LABEL

FEWEST_SIMULATED = 200
CHECK_SEED = 1_000_000  # The comparison uses other masks than the fit.


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument('predictions', type=Path, help='folder of out-of-fold predictions, {name}.npy')
    parser.add_argument('data_root', type=Path, help='converted dataset they belong to')
    parser.add_argument('--out', type=Path, default=Path('preset.json'), help='default: preset.json')
    parser.add_argument(
        '--fold', type=int, help='leave out the images of this fold, which validate the refiner that is trained'
    )
    parser.add_argument(
        '--samples', type=int, default=40, help='masks simulated for each error type and quarter of its severities'
    )
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    parser.add_argument('--without-proof', action='store_true', help='accept predictions of another program')
    parser.add_argument('--overwrite', action='store_true', help='replace an earlier preset')
    args = parser.parse_args(argv)

    console, progress = Console(), Console(stderr=True)
    with one_message():
        if args.out.exists() and not args.overwrite:
            raise FileExistsError(f'{args.out} exists already; --overwrite replaces it, --out chooses another file')
        if args.samples < 1:
            raise ValueError(f'--samples is {args.samples}, expected 1 or more')
        pairs = read_pairs(args.predictions, args.data_root, args.fold, not args.without_proof)
        truths = [truth for _, truth in pairs]
        real = measure_all(track(pairs, 'measuring', console=progress))
        preset = fit_preset(
            real,
            truths,
            args.samples,
            args.seed,
            lambda parts: track(parts, 'simulating', console=progress),
        )
        preset.save(args.out)
    console.print(probability_table(preset))
    count = max(len(pairs), FEWEST_SIMULATED)
    candidates = [('default', PRESETS['default']), ('fitted', preset)]
    tables = {
        title: simulate(candidate, truths, count, CHECK_SEED)
        for title, candidate in track(candidates, 'comparing', console=progress)
    }
    console.print(closeness_table(real, tables))
    console.print(f'{len(pairs)} predictions with a lesion; preset written to {args.out}', markup=False)


def read_pairs(
    predictions: Path, data_root: Path, fold: int | None, require_proof: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(probability, truth) of every lesion class of every training image that has one, at the working size."""
    init_default_scope('ultrarefiner')
    dataset = ConvertedDataset(
        str(data_root),
        subset='all_train' if fold is None else 'train',
        fold=fold,
        coarse_dir=str(predictions),
        require_proof=require_proof,
        pipeline=[dict(type='LoadImage'), dict(type='LoadMask'), dict(type='LoadCoarsePrediction')],
    )
    pairs = []
    for results in track(dataset, 'reading', console=Console(stderr=True)):
        probability = np.atleast_3d(results['coarse_probability'])
        labels = np.unique(results['gt_seg_map'])
        for label in labels[(labels > 0) & (labels != IGNORE_LABEL)]:
            if label > probability.shape[2]:
                raise ValueError(
                    f'{results["coarse_path"]} has {probability.shape[2]} channel(s), its mask has the label {label}; '
                    'write the predictions again'
                )
            pair = to_working_size(probability[..., label - 1], results['gt_seg_map'] == label)
            if pair[1].any():
                pairs.append(pair)
    return pairs


def probability_table(preset: Preset) -> Table:
    """How often each error type occurs, and its mean severity, in the default preset and in the fitted one."""
    table = Table('error type', 'default', 'fitted', 'mean severity')
    for error, default in PRESETS['default'].probabilities.items():
        weights = np.array(preset.severities.get(error, ()))
        severity = f'{(weights * (np.arange(len(weights)) + 0.5)).sum() / len(weights):.2f}' if len(weights) else ''
        table.add_row(error, f'{default:.3f}', f'{preset.probabilities.get(error, 0):.3f}', severity)
    return table


def closeness_table(real: dict, tables: dict[str, dict]) -> Table:
    """Means and the two distances to the real distribution of each quantity, before and after the fit."""
    table = Table('quantity', *(f'mean\n{title}' for title in ('real', *tables)))
    for distance in ('Wasserstein', 'KS'):
        for title in tables:
            table.add_column(f'{distance}\n{title}', justify='right')
    distances = {title: compare(values, real) for title, values in tables.items()}
    for name in real:
        means = (f'{np.nanmean(values[name]):.3f}' for values in (real, *tables.values()))
        table.add_row(name, *means, *(f'{distances[title][name][which]:.3f}' for which in (0, 1) for title in tables))
    return table


if __name__ == '__main__':
    run_tool(main)
