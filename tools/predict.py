r"""Segment images with a trained model, or with several whose probabilities are averaged.

A model comes first: a name of --list that has weights, a checkpoint or a package, or several of these two, which are
averaged; a config in front of them takes the place of their own. Then the images: files, folders, patterns. Everything
that is not given is in the checkpoint.

Example:
  python tools/predict.py ultrarefiner-small-bus data/busi/test/images --out results/shipped
  python tools/predict.py checkpoints/ultrarefiner/busi/fold_0/best.pth data/busi/test/images --out results/busi
"""

import time
from pathlib import Path

import ultrarefiner.registry  # noqa: F401  a broken installation shows its own error here
from ultrarefiner.apis.cli import one_message, run_tool, tool_parser
from ultrarefiner.apis.inference.image_sources import find_sources
from ultrarefiner.apis.inference.inferencer import UltraRefinerInferencer
from ultrarefiner.apis.inference.prediction_writer import FORMATS
from ultrarefiner.apis.init_model import CHECKPOINT_ENDINGS
from ultrarefiner.apis.mixed_precision import add_amp_argument
from ultrarefiner.apis.model_package import is_package
from ultrarefiner.apis.model_zoo import list_models
from ultrarefiner.apis.progress_bar import progress_bar
from ultrarefiner.datasets.faults import NAMES_SHOWN
from ultrarefiner.utils.command_line import FAULT_FOUND, did_you_mean


def main() -> int | None:
    """Entry point."""
    parser = tool_parser(__doc__)
    parser.add_argument(
        'arguments',
        nargs='*',
        metavar='[NAME|CONFIG] CHECKPOINT... IMAGE...',
        help='a name, or checkpoints (.pth) or packages, after a config or the name of one if wanted; then images, '
        "folders of images or quoted patterns ('scans/**/*.png')",
    )
    parser.add_argument('--out', metavar='DIR', help='where results go: masks/, predictions.csv and what --save names')
    parser.add_argument('--save', nargs='+', default=[], choices=FORMATS, help='what to write besides the masks')
    parser.add_argument(
        '--coarse', nargs='+', help='checkpoint of phase 1 for a checkpoint of phase 2; one or one each'
    )
    parser.add_argument(
        '--coarse-masks', metavar='FOLDER', help='coarse masks made elsewhere, {name}.npy or {name}.png'
    )
    parser.add_argument('--recursive', action='store_true', help='take the images of sub-folders too')
    parser.add_argument(
        '--flips', nargs='+', default=[], choices=['horizontal', 'vertical'], help='average flipped views'
    )
    parser.add_argument(
        '--scales', nargs='+', default=[], type=float, metavar='S', help='average scaled views, such as 0.8'
    )
    parser.add_argument('--batch-size', type=int, default=4, metavar='N', help='images at once; defaults to 4')
    parser.add_argument('--device', help='cpu, cuda or cuda:1; defaults to a GPU where there is one')
    parser.add_argument('--embedding-cache', metavar='FOLDER', help='keep and find what the image encoder makes')
    add_amp_argument(parser, 'predict')
    parser.add_argument('--overwrite', action='store_true', help='remove the results of an earlier run in DIR')
    parser.add_argument(
        '--resume', action='store_true', help='leave out the images that an earlier run finished in DIR'
    )
    parser.add_argument(
        '--list', action='store_true', help='print the names of the models and configs that come with the project'
    )
    args = parser.parse_args()

    if args.list:
        print('\n'.join(list_models()))
        return None
    model, weights, images = split_arguments(args.arguments)
    if not model:
        near = did_you_mean(images[0], list_models()) if images else ''
        wrong = f'{images[0]} is no checkpoint, config, package or name{near}; ' if images else ''
        parser.error(f'{wrong}give a checkpoint, such as best.pth, and then images')
    if not images:
        parser.error(f'no images are given after {[*model, *weights][-1]}')
    if args.out is None:
        parser.error('say with --out where the results go')
    with one_message():
        sources = find_sources(images, args.recursive)
        inferencer = UltraRefinerInferencer(
            model,
            weights or None,
            args.coarse,
            args.coarse_masks,
            args.device,
            args.batch_size,
            dict(flips=args.flips, scales=args.scales),
            args.amp,
            args.embedding_cache,
        )
        # Before the writer makes or empties the folder.
        if inferencer.given_masks is not None:
            inferencer.given_masks.check(sources)
        writer = inferencer.writer(args.out, args.save, args.overwrite, args.resume, sources)
        sources = [source for source in sources if source.name not in writer.done]
        faults = []
        predictions = inferencer.stream(sources, on_fault=lambda source, error: faults.append(error)) if sources else ()
    return predict(predictions, writer, len(sources), faults)


def predict(predictions, writer, total: int, faults: list[Exception]) -> int | None:
    """Write what is predicted, and say what was done; exit code 1 if an image could not be read."""
    start = time.perf_counter()
    with writer, progress_bar() as progress:
        task = progress.add_task('predicting', total=total)
        for prediction in predictions:
            writer.write(prediction)
            progress.update(task, completed=writer.count - len(writer.done) + len(faults))
    seconds = time.perf_counter() - start
    made, kept = writer.count - len(writer.done), len(writer.done)
    already = f'; {kept} {"was" if kept == 1 else "were"} there already' if kept else ''
    print(f'{counted(made)} in {seconds:.1f} s, {made / seconds:.1f} images/s{already}')
    print(f'masks: {writer.out_dir / "masks"}; table: {writer.out_dir / "predictions.csv"}')
    if not faults:
        return None
    shown = '\n'.join(f'  {error}' for error in faults[:NAMES_SHOWN]) + ('\n  ...' if len(faults) > NAMES_SHOWN else '')
    print(f'{counted(len(faults))} could not be read and {"has" if len(faults) == 1 else "have"} no result:\n{shown}')
    return FAULT_FOUND


def counted(count: int) -> str:
    """A number of images, in words."""
    return f'{count} image{"" if count == 1 else "s"}'


def split_arguments(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Tell models, weights and images apart: the models come first, and are known by their endings.

    Args:
        words (list[str]): As given.

    Returns:
        tuple[list[str], list[str], list[str]]: Models; the weights of a config or a name; images.
    """
    models, weights, rest = [], [], list(words)
    if rest and (rest[0].endswith('.py') or rest[0] in list_models()):
        models.append(rest.pop(0))
    found = weights if models else models
    while rest and (Path(rest[0]).suffix in CHECKPOINT_ENDINGS or is_package(rest[0])):
        found.append(rest.pop(0))
    return models, weights, rest


if __name__ == '__main__':
    run_tool(main, 'the images that were done have their results; the same command with --resume goes on from here')
