"""TrainableReportHook: what trains and what is frozen, at the start."""

from __future__ import annotations

import io
from collections.abc import Iterator

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn

from ...registry import HOOKS
from ...utils.unwrap import unwrap


@HOOKS.register_module()
class TrainableReportHook(Hook):
    """Logs the number of all and of trainable parameters of each part of the model before training."""

    def before_train(self, runner) -> None:
        """Log the table.

        Raises:
            ValueError: If nothing is trainable.
        """
        model = unwrap(runner.model)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError(
                f'no parameter of {type(model).__name__} is trainable: check freeze_coarse and what the config freezes '
                'in the refiner'
            )
        if is_main_process():
            runner.logger.info('parameters\n' + parameter_table(model))


def parameter_table(model: nn.Module) -> str:
    """Draw a table of the parameters by part, as plain text; parts without parameters are left out."""
    table = Table(box=box.SIMPLE_HEAD, show_footer=True)
    own = list(model.parameters())
    trainable = [parameter for parameter in own if parameter.requires_grad]
    table.add_column('Part', footer='all')
    for title, footer in zip(('Parameters', 'Trainable', '%'), _cells(own, trainable)):
        table.add_column(title, footer=footer, justify='right')
    for name, part in _parts(model):
        parameters = list(part.parameters())
        if parameters:
            table.add_row(name, *_cells(parameters, [p for p in parameters if p.requires_grad]))
    text = io.StringIO()
    Console(file=text, width=100, color_system=None).print(table)
    return text.getvalue().rstrip()


def _parts(model: nn.Module, prefix: str = '') -> Iterator[tuple[str, nn.Module]]:
    """The children of the model, with each refiner replaced by its own children, also where a refiner holds another."""
    for name, child in model.named_children():
        if name == 'refiner':
            yield from _parts(child, f'{prefix}refiner.')
        else:
            yield f'{prefix}{name}', child


def _cells(parameters: list[nn.Parameter], trainable: list[nn.Parameter]) -> tuple[str, str, str]:
    total, count = (sum(parameter.numel() for parameter in group) for group in (parameters, trainable))
    return f'{total:,}', f'{count:,}', f'{100 * count / total:.1f}'
