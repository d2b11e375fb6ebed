"""PromptEditor: the prompts of one image, changed by hand step by step, with every step undone in turn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ...structures import Prompts
from ...structures.prompts import KINDS

PADDING = -1


class PromptEditor:
    """Changes prompts without touching what it was given: each step is a `Prompts` of its own.

    Coordinates are normalised (x, y), as in `Prompts`. A slot with nothing to refine becomes valid when it is given a
    box or a point; until a box is drawn there, it has the generator's, or else the whole image.

    Args:
        prompts (Prompts): Of one image (N = 1) and K slots; they are the beginning, to which `reset` returns.
        accepts (Iterable[str]): The kinds that the refiner understands.

    Attributes:
        accepts (frozenset[str]): As given.

    Raises:
        ValueError: If the prompts are of several images.
    """

    def __init__(self, prompts: Prompts, accepts: Iterable[str]):
        given = _any_of(prompts)
        if len(given) != 1:
            raise ValueError(f'the prompts are of {len(given)} images, expected one; give prompts[i : i + 1]')
        self.accepts = frozenset(accepts)
        self.num_slots = given.shape[1]
        self._device = given.device
        self._steps = [(prompts, prompts.kinds & self.accepts)]

    @property
    def prompts(self) -> Prompts:
        """Prompts: What the refiner is to be given: of the present step, the kinds that are switched on."""
        prompts, kinds = self._steps[-1]
        return prompts.keep(kinds)

    @property
    def all_prompts(self) -> Prompts:
        """Prompts: The same with the kinds that are switched off."""
        return self._steps[-1][0]

    @property
    def kinds(self) -> frozenset[str]:
        """frozenset[str]: The kinds that are switched on."""
        return self._steps[-1][1]

    @property
    def is_changed(self) -> bool:
        """bool: Whether there is a step to undo."""
        return len(self._steps) > 1

    def keep(self, kinds: Iterable[str]) -> None:
        """Switch kinds on and off.

        Args:
            kinds (Iterable[str]): Those that are on from now on.

        Raises:
            ValueError: If a kind is unknown to the refiner or there is nothing of it, or none is left.
        """
        kinds = frozenset(kinds)
        for kind in sorted(kinds):
            self._check_kind(kind)
        missing = sorted(kinds - self.all_prompts.kinds)
        if missing:
            raise ValueError(f'there are no {", ".join(missing)} yet; add one, or leave the kind off')
        if not kinds:
            raise ValueError('no kind of prompt is left; keep at least one of them on')
        self._steps.append((self.all_prompts, kinds))

    def move_box(self, slot: int, box: Sequence[float]) -> None:
        """Put the box of a slot somewhere else, or draw its first one; boxes are then on.

        Args:
            slot (int): Which, from 0.
            box (Sequence[float]): Normalised (x0, y0, x1, y1) with x0 < x1 and y0 < y1.

        Raises:
            ValueError: If the refiner takes no boxes, or this is none.
            IndexError: If there is no such slot.
        """
        self._check_kind('boxes')
        self._check_slot(slot)
        if len(box) != 4 or not all(map(math.isfinite, box)) or box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(f'the box is {list(box)}, expected finite x0, y0, x1, y1 with x0 < x1 and y0 < y1')
        boxes = self.all_prompts.boxes
        if boxes is None:
            boxes = torch.tensor([0.0, 0.0, 1.0, 1.0], device=self._device).repeat(1, self.num_slots, 1)
        boxes = boxes.clone()
        boxes[0, slot] = boxes.new_tensor(box)
        self._push(slot, 'boxes', boxes=boxes)

    def add_point(self, slot: int, point: Sequence[float], positive: bool) -> None:
        """Add a point to a slot; points are then on.

        Args:
            slot (int): Which, from 0.
            point (Sequence[float]): Normalised (x, y).
            positive (bool): Whether it is on the object, or on the background.

        Raises:
            ValueError: If the refiner takes no points, or this is none.
            IndexError: If there is no such slot.
        """
        self._check_point(slot, point)
        points, labels = self._columns()
        place = _new_column(labels, slot)
        if place == labels.shape[2]:
            points = torch.cat([points, points.new_zeros(1, self.num_slots, 1, 2)], dim=2)
            labels = torch.cat([labels, labels.new_full((1, self.num_slots, 1), PADDING)], dim=2)
        points[0, slot, place] = points.new_tensor(point)
        labels[0, slot, place] = int(positive)
        self._push(slot, 'points', points=points, point_labels=labels)

    def move_point(self, slot: int, index: int, point: Sequence[float]) -> None:
        """Put a point somewhere else.

        Args:
            slot (int): Which slot, from 0.
            index (int): Which of its points, from 0; padding does not count.
            point (Sequence[float]): Normalised (x, y).

        Raises:
            ValueError: If the refiner takes no points, or this is none.
            IndexError: If there is no such slot or point.
        """
        self._check_point(slot, point)
        points, labels = self._columns()
        points[0, slot, _column(labels, slot, index)] = points.new_tensor(point)
        self._push(slot, 'points', points=points, point_labels=labels)

    def remove_point(self, slot: int, index: int) -> None:
        """Take a point away; arguments and errors as for `move_point`."""
        self._check_kind('points')
        self._check_slot(slot)
        points, labels = self._columns()
        labels[0, slot, _column(labels, slot, index)] = PADDING
        # To a refiner padding is not quite nothing: a column without any point goes.
        used = (labels[0] != PADDING).any(dim=0)
        if used.any():
            self._push(slot, 'points', points=points[:, :, used], point_labels=labels[:, :, used])
            return
        left = self.all_prompts.keep(self.all_prompts.kinds - {'points'})
        kinds = self.kinds - {'points'}
        if not kinds:
            raise ValueError('this point is the only prompt; add another one, or switch a kind on, before it goes')
        self._steps.append((left, kinds))

    def undo(self) -> None:
        """Go one step back, if there is one."""
        if self.is_changed:
            self._steps.pop()

    def reset(self) -> None:
        """Return to the beginning; this is a step, and can be undone."""
        if self.is_changed:
            self._steps.append(self._steps[0])

    def _push(self, slot: int, kind: str, **changed: Tensor) -> None:
        prompts = replace(self.all_prompts, **changed)
        if prompts.valid is not None and not prompts.valid[0, slot]:
            valid = prompts.valid.clone()
            valid[0, slot] = True
            prompts = replace(prompts, valid=valid)
        self._steps.append((prompts, self.kinds | {kind}))

    def _columns(self) -> tuple[Tensor, Tensor]:
        """Copies of the points (1, K, P, 2) and their labels (1, K, P); P is 0 where there are none."""
        points, labels = self.all_prompts.points, self.all_prompts.point_labels
        if points is None or labels is None:
            points = torch.zeros(1, self.num_slots, 0, 2, device=self._device)
            return points, torch.zeros(1, self.num_slots, 0, dtype=torch.long, device=self._device)
        return points.clone(), labels.clone()

    def _check_kind(self, kind: str) -> None:
        if kind not in self.accepts:
            known = ', '.join(name for name in KINDS if name in self.accepts)
            raise ValueError(f'the refiner takes no {kind}; it takes {known}')

    def _check_slot(self, slot: int) -> None:
        if not 0 <= slot < self.num_slots:
            raise IndexError(f'there is no slot {slot}; there are {self.num_slots}, from 0')

    def _check_point(self, slot: int, point: Sequence[float]) -> None:
        self._check_kind('points')
        self._check_slot(slot)
        if len(point) != 2 or not all(map(math.isfinite, point)):
            raise ValueError(f'the point is {list(point)}, expected finite x, y')


def _any_of(prompts: Prompts) -> Tensor:
    given = (prompts.valid, prompts.boxes, prompts.points, prompts.masks)
    return next(value for value in given if value is not None)


def _column(labels: Tensor, slot: int, index: int) -> int:
    """The column of the point ``index`` of a slot, counted without padding."""
    places = (labels[0, slot] != PADDING).nonzero()[:, 0].tolist()
    if not 0 <= index < len(places):
        raise IndexError(f'slot {slot} has no point {index}; it has {len(places)}, from 0')
    return places[index]


def _new_column(labels: Tensor, slot: int) -> int:
    """The first column behind the points of a slot, which may be one that there is not yet."""
    places = (labels[0, slot] != PADDING).nonzero()[:, 0].tolist()
    return places[-1] + 1 if places else 0
