"""What a report says about a run before its numbers: what it is, what it cost, and the settings that matter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ...evaluation.per_image_csv import count_images
from ...evaluation.training_log import best_row, default_metric
from .work_dir import CSV, STARTED, WorkDir

PHASES = dict(coarse='1: coarse network', refine='2: refiner', joint='3: both together')
Facts = list[tuple[str, str]]


def run_facts(run: WorkDir) -> Facts:
    """What the run is, beside its config's name; what is not known is left out."""
    cfg, summary = run.cfg or {}, run.summary
    splits = run.record.get('splits') or {summary.get('dataset'): summary.get('split_sha256')}
    facts = [
        ('Dataset', _listed(cfg.get('dataset') or summary.get('dataset') or '')),
        ('Split', ', '.join(f'{name} {digest[:12]}' for name, digest in splits.items() if digest)),
        ('Fold', _text(cfg.get('fold', summary.get('fold')))),
        ('Phase', PHASES.get(str(cfg.get('phase')), _text(cfg.get('phase')))),
        ('Seed', _text((cfg.get('randomness') or {}).get('seed'))),
        ('Precision', _text(run.record.get('precision'))),
        ('Trained', _started(run.path) if run.record or run.log is not None else ''),
        ('Checkpoint', _checkpoint(run)),
        ('Tested', _tested(run)),
    ]
    return [(name, value) for name, value in facts + cost_facts(run.record.get('cost') or {}) if value]


def cost_facts(cost: dict) -> Facts:
    """What the training cost, for people."""
    facts = []
    if cost.get('parameters') is not None:
        trainable = f', {_millions(cost["trainable"])} of them trained' if 'trainable' in cost else ''
        facts.append(('Parameters', f'{_millions(cost["parameters"])}{trainable}'))
    if cost.get('seconds') is not None:
        each = cost.get('seconds_per_iteration')
        facts.append(('Training time', _duration(cost['seconds']) + (f', {each:.3g} s an iteration' if each else '')))
    if cost.get('peak_memory') is not None:
        facts.append(('Peak memory', f'{cost["peak_memory"] / 2**30:.2f} GiB'))
    return facts


def main_settings(cfg: Any) -> Facts:
    """The settings that tell experiments apart, out of a whole config; what it does not have is left out."""
    model = (cfg or {}).get('model') or {}
    coarse, refiner = model.get('coarse') or {}, model.get('refiner') or {}
    optim = (cfg or {}).get('optim_wrapper') or {}
    optimizer = optim.get('optimizer') or {}
    train = (cfg or {}).get('train_cfg') or {}
    facts = [
        ('Coarse network', ' + '.join(_types(coarse))),
        ('Coarse input', _size((model.get('coarse_input') or {}).get('size'))),
        ('Prompts', ', '.join(_leaf_types(model.get('prompt_generator') or {}))),
        ('Refiner', _refiner(refiner)),
        ('Refined at', _size(model.get('refine_size'))),
        ('Losses', ', '.join(_loss(loss) for loss in model.get('losses') or [])),
        ('Optimizer', _call(optimizer, ('lr', 'weight_decay'))),
        ('Schedule', ', '.join(str(part.get('type', '')) for part in (cfg or {}).get('param_scheduler') or [])),
        ('Length', _length(train)),
        ('Batch size', _text(((cfg or {}).get('train_dataloader') or {}).get('batch_size'))),
        ('Started from', ', '.join((cfg or {}).get('init_from') or {})),
    ]
    return [(name, value) for name, value in facts if value]


def _checkpoint(run: WorkDir) -> str:
    tested = (run.results.cfg or {}).get('load_from') if run.results else None
    name = Path(tested).name if tested else 'best.pth' if (run.path / 'best.pth').is_file() else ''
    key = None if run.log is None else default_metric(run.log)
    if name != 'best.pth' or run.log is None or key is None:
        return name
    best = best_row(run.log, key)
    if best is None:
        return name
    when = f'epoch {best["epoch"]:.0f}' if best.get('epoch', 0) > 0 else f'iteration {best["iter"]:.0f}'
    return f'{name}: {when}, {key} {best[key]:.4f} on validation'


def _tested(run: WorkDir) -> str:
    if run.results is None:
        return ''
    made = datetime.fromtimestamp((run.results.folder / CSV).stat().st_mtime)
    names = dict(test='held-out test images', val='validation images of the fold')
    images = names.get(str(run.summary.get('subset')), 'images')
    count = count_images(run.rows)
    return f'{made:%Y-%m-%d %H:%M}, {count} {images}'


def _started(path: Path) -> str:
    starts = sorted(folder.name for folder in path.iterdir() if folder.is_dir() and STARTED.fullmatch(folder.name))
    times = [f'{datetime.strptime(start, "%Y%m%d_%H%M%S"):%Y-%m-%d %H:%M}' for start in starts]
    return ', resumed '.join(times[:1] + times[-1:]) if len(times) > 1 else ''.join(times)


def _types(node: dict) -> Iterator[str]:
    """The type of a network and of its parts; mmseg's composition itself says nothing."""
    if node.get('type') not in (None, 'EncoderDecoder'):
        yield str(node['type'])
    for part in ('backbone', 'decode_head'):
        if (node.get(part) or {}).get('type'):
            yield str(node[part]['type'])


def _leaf_types(node: dict) -> Iterator[str]:
    if node.get('generators'):
        for part in node['generators']:
            yield from _leaf_types(part)
    elif node.get('type'):
        yield str(node['type'])


def _refiner(node: dict) -> str:
    if not node:
        return ''
    arch = f' {node["arch"]}' if isinstance(node.get('arch'), str) else ''
    extras = [
        str(node[part]['type']) for part in ('adapter', 'gate', 'selection') if (node.get(part) or {}).get('type')
    ]
    encoder = [f'encoder {node["encoder"]}'] if isinstance(node.get('encoder'), str) else []
    inner = [f'of {_refiner(node["refiner"])}'] if node.get('refiner') else []
    return ', '.join([f'{node.get("type")}{arch}', *encoder, *extras, *inner])


def _loss(node: dict) -> str:
    weight = f'{node["loss_weight"]:g} × ' if 'loss_weight' in node else ''
    return f'{weight}{node.get("type")} ({node["stage"]})' if 'stage' in node else f'{weight}{node.get("type")}'


def _call(node: dict, keys: tuple[str, ...]) -> str:
    values = [f'{key} {node[key]:g}' for key in keys if isinstance(node.get(key), (int, float))]
    return ', '.join([str(node['type']), *values]) if node.get('type') else ''


def _length(train: dict) -> str:
    if train.get('max_epochs'):
        return f'{train["max_epochs"]} epochs'
    return f'{train["max_iters"]} iterations' if train.get('max_iters') else ''


def _size(size: Any) -> str:
    return ' × '.join(map(str, size)) + ' pixels' if isinstance(size, (list, tuple)) else ''


def _listed(value: Any) -> str:
    return ', '.join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _text(value: Any) -> str:
    return '' if value is None else str(value)


def _millions(count: int) -> str:
    return f'{count / 1e6:.2f} M' if count >= 1e6 else f'{count:,}'


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {rest} s' if minutes else f'{rest} s'
