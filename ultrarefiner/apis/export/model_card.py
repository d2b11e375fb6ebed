"""The page that goes with a model: what it is, what it was made of, what it can and cannot do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from torch import nn

from ...models.segmentors import CoarseToFine, PrecomputedCoarse
from ..model_zoo import list_models
from .data_sources import data_source

PHASES = dict(
    coarse='1, the coarse network alone',
    refine='2, the refiner on stored coarse predictions',
    joint='3, coarse network and refiner together',
)
UNKNOWN = '**not known; state it here**'
STAGES = ('coarse', 'refined', 'delta')


def model_card(
    model: CoarseToFine,
    name: str,
    results: Sequence[str | Path] = (),
    data_licence: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> str:
    """Write the page, with the front matter that the Hugging Face hub reads.

    Args:
        model (CoarseToFine): From `init_model`.
        name (str): Of the model, the title.
        results (Sequence[str | Path]): Of each test a ``per_image.json`` of ``tools/test.py``, or the folder that has
            it, for its means. Defaults to none; the metrics of the validation are in the weights' own history.
        data_licence (str, optional): The terms of the training data, instead of what is known of it.
        dtype (torch.dtype): What the weights are stored in. Defaults to float32.

    Raises:
        FileNotFoundError: If there are no such results.
        ValueError: If they are no results of a test, or of another split of the same data.
    """
    made = model.provenance
    tested = [read_results(path, made) for path in results]
    sections = dict(
        [
            ('What it is', what_it_is(model, dtype)),
            ('How to use it', usage(model, name)),
            ('What it was trained on', trained_on(made)),
            ('How good it is', how_good(made, tested)),
            ('Intended use and limits', INTENDED),
            ('Licence of the data', licence(made, data_licence)),
            ('Citation of the data', citations(made)),
        ]
    )
    body = '\n\n'.join(f'## {title}\n\n{text}' for title, text in sections.items() if text)
    return f'---\n{front_matter(name, model, tested)}---\n\n# {name}\n\n{body}\n'


def read_results(path: str | Path, made: dict) -> dict:
    """Read the results of a test.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is something else, or of another split than the model's.
    """
    path = Path(path) / 'per_image.json' if Path(path).is_dir() else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'results {path} do not exist; tools/test.py writes per_image.json into its --out')
    try:
        content = json.loads(path.read_text())
        means = content['means']
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is no per_image.json of tools/test.py') from error
    split = made.get('splits', {}).get(content.get('dataset'))
    if split is not None and content.get('split_sha256') not in (None, split):
        raise ValueError(
            f'{path} is of the split {content["split_sha256"][:12]} of {content["dataset"]}, the model was trained on '
            f'the split {split[:12]}; test this model, and give those results'
        )
    return dict(content, means=means)


def front_matter(name: str, model: CoarseToFine, tested: list[dict]) -> str:
    """The YAML that a hub reads."""
    entry: dict[str, object] = dict(
        library_name='ultrarefiner',
        pipeline_tag='image-segmentation',
        license='other',
        license_name='see-model-card',
        license_link='README.md',
        tags=['image-segmentation', 'medical-imaging', 'ultrasound', 'coarse-to-fine'],
    )
    if tested:
        last = 'coarse' if model.refiner is None else 'refined'
        entry['model-index'] = [dict(name=name, results=[hub_result(each, last) for each in tested])]
    return yaml.safe_dump(entry, sort_keys=False, allow_unicode=True)


def hub_result(tested: dict, stage: str) -> dict:
    """The means of a stage in one test, as a hub wants them."""
    metrics = [
        dict(type=key.split('/')[1].lower(), name=key.replace('/', ' '), value=value)
        for key, value in tested['means'].items()
        if key.startswith(f'{stage}/')
    ]
    dataset = dict(name=tested.get('dataset', 'unknown'), type=tested.get('dataset', 'unknown'))
    return dict(task=dict(type='image-segmentation'), dataset=dataset, metrics=metrics)


def what_it_is(model: CoarseToFine, dtype: torch.dtype) -> str:
    """The parts, by the names that they have in configs."""
    coarse, parts = model.cfg.model.coarse, []
    named = coarse.backbone.type if coarse.get('backbone') else coarse.type
    classes = ', '.join(model.dataset_meta['classes'][1:])
    if isinstance(model.coarse, PrecomputedCoarse):
        parts.append('- coarse masks: made elsewhere; the package has no coarse network')
    else:
        parts.append(f'- coarse network: {named}, {count(model.coarse)}')
    if model.refiner is not None and model.prompt_generator is not None:
        kinds = ', '.join(sorted(model.prompt_generator.produces))
        parts.append(f'- prompts made of the coarse mask: {kinds} ({type(model.prompt_generator).__name__})')
        parts.append(f'- refiner: {type(model.refiner).__name__}, {count(model.refiner)}')
    parts.append(f'- weights: {str(dtype).removeprefix("torch.")}')
    inputs = ['- takes images of any size, 8 bits a channel, grey or RGB; it prepares them itself, as follows']
    inputs += [f'- {stage} input: {profile}' for stage, profile in model.input_profiles().items()]
    plug_ins = list((model.cfg.get('custom_imports') or {}).get('imports', []))
    if plug_ins:
        inputs.append(f'- plug-ins that have to be importable: {", ".join(plug_ins)}')
    if model.refiner is None:
        opening = f'A segmentor of {classes} for the toolkit `ultrarefiner`: phase 1, without a refiner.'
    else:
        opening = (
            f'A coarse-to-fine segmentor of {classes} for the toolkit `ultrarefiner`: a coarse network makes a mask, '
            'prompts are made of it, and a refiner makes a better mask of image and prompts.'
        )
    return '\n'.join([opening, '', *parts, *inputs])


def count(module: nn.Module) -> str:
    """How many parameters, for the page."""
    return f'{sum(weight.numel() for weight in module.parameters()):,} parameters'


def trained_on(made: dict) -> str:
    """Data, split and fold."""
    if not made:
        return 'Not known: the checkpoint did not say.'
    rows = [f'- {name}, split {split}' for name, split in made.get('splits', {}).items()]
    if made.get('fold') is not None:
        rows.append(f'- held out in training: fold {made["fold"]} of each')
    if made.get('phase'):
        rows.append(f'- phase {PHASES.get(made["phase"], made["phase"])}')
    rows += [f'- {name}: {made[name]}' for name in ('epoch', 'precision') if made.get(name) is not None]
    return '\n'.join(rows)


def how_good(made: dict, tested: list[dict]) -> str:
    """Tables of metrics, and of what images they are."""
    parts = []
    for each in tested:
        images = f'{each["images"]} images' if 'images' in each else 'the images'
        dataset = each.get('dataset', 'a dataset')
        seen = '' if dataset in made.get('splits', {}) else ', a dataset that it was not trained on'
        where = f'{images} of {dataset} ({each.get("subset", "test")}){seen}'
        parts.append(f'Means over {where}:\n\n{table(each["means"])}')
    if made.get('metrics'):
        parts.append(
            'Means over the validation images, on which the best epoch was chosen; so they flatter:\n\n'
            f'{table(made["metrics"])}'
        )
    return '\n\n'.join(parts) or 'Not measured.'


def table(metrics: dict) -> str:
    """Metrics 'stage/name' as a table with a row a name and a column a stage."""
    rows: dict[str, dict] = {}
    for key, value in metrics.items():
        stage, _, name = key.partition('/')
        if stage in STAGES:
            rows.setdefault(name, {})[stage] = value
    stages = [stage for stage in STAGES if any(stage in row for row in rows.values())]
    lines = [f'| metric | {" | ".join(stages)} |', '|---' * (1 + len(stages)) + '|']
    for name, row in rows.items():
        lines.append(f'| {name} | {" | ".join(f"{row[s]:.4f}" if s in row else "" for s in stages)} |')
    return '\n'.join(lines)


INTENDED = """For research on segmentation. It is not a medical device: it was not approved, nor tested for use on \
patients, and no diagnosis or treatment may rest on it.

- It was trained on few images of few machines and hospitals; on others it can fail without a sign of it.
- It segments what looks like its training data. On an image without a lesion it may find one all the same.
- The predicted IoU is a regression by the network itself, no probability of being right.
- Where the coarse mask misses a lesion, there is no prompt, and the refiner cannot find it."""


def licence(made: dict, given: str | None) -> str:
    """The terms of the training data, which may bind the weights too."""
    if given is not None:
        return given
    known = {name: data_source(name) for name in names_of_data(made)}
    lines = [f'- {name}: {source.terms if source else UNKNOWN}' for name, source in known.items()]
    return '\n'.join(lines) or '**Not known; state it here.**'


def citations(made: dict) -> str:
    """What to cite for the training data; empty where nothing is known of it."""
    known = [data_source(name) for name in names_of_data(made)]
    return '\n'.join(f'- {source.citation}' for source in known if source is not None and source.citation)


def names_of_data(made: dict) -> list[str]:
    """The datasets that a model was trained on; of a merged one those that it was merged of."""
    splits = made.get('splits') or {}
    merged = made.get('dataset')
    return [name for name in splits if name != merged or len(splits) == 1]


def usage(model: CoarseToFine, name: str) -> str:
    """A few lines; a model that comes with the project is opened by its name."""
    opened = name if name in list_models() else 'path/to/this/folder'
    more = ", coarse='phase_1/best.pth'" if isinstance(model.coarse, PrecomputedCoarse) else ''
    return (
        '```python\n'
        'from ultrarefiner.apis import UltraRefinerInferencer\n\n'
        f"segment = UltraRefinerInferencer('{opened}'{more})\n"
        "mask = segment('image.png')[0].mask  # (H, W): 0 background, 1 the first class\n"
        '```\n\n'
        'From a shell, in a checkout of the toolkit:\n\n'
        f'```bash\npython tools/predict.py {opened} IMAGES --out results\n```'
    )
