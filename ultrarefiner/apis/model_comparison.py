"""Models beside each other on the test images of one converted dataset: a table of means, and one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from rich.table import Table

from ..data_preparation.splits import Splits
from ..datasets.mask_file import read_mask
from ..evaluation.overlap import overlap
from ..utils.whole_file import whole_file
from ..visualization.stage_panels import COARSE, REFINED, draw_model_panels, stack_pictures
from .inference.inferencer import UltraRefinerInferencer
from .inference.prediction import Prediction

LABELS = {0: 0, 255: 1}
SHOWN = ('Dice', 'IoU')


class ModelComparison:
    """Coarse and refined masks of several models on the test images of a dataset of one class.

    Args:
        data_root (str | Path): A converted dataset.
        rows (int): How many images the picture shows, evenly spaced in the order of their names. Defaults to 6.

    Attributes:
        splits (Splits): Of the dataset.
        scores (dict[str, dict[str, list[dict]]]): By model and stage, what `overlap` says of each test image.
    """

    def __init__(self, data_root: str | Path, rows: int = 6):
        self.folder = Path(data_root) / 'test'
        self.splits = Splits.load(Path(data_root) / 'splits.json')
        self.names = sorted(self.splits.test)
        places = np.linspace(0, len(self.names) - 1, min(rows, len(self.names)))
        self.shown = [self.names[round(place)] for place in places]
        self.scores: dict[str, dict[str, list[dict]]] = {}
        self._kept: dict[str, dict[str, Prediction]] = {}

    def add(self, name: str, inferencer: UltraRefinerInferencer) -> None:
        """Segment the test images with a model.

        Args:
            name (str): Of the model, for table and picture.
            inferencer (UltraRefinerInferencer): Of one class.

        Raises:
            ValueError: If it has several classes.
        """
        if len(inferencer.classes) != 2:
            raise ValueError(f'{name} has the classes {inferencer.classes}, expected background and one more')
        self.scores[name] = dict(coarse=[], refined=[])
        self._kept[name] = {}
        for prediction in inferencer.stream([self.folder / 'images' / f'{image}.png' for image in self.names]):
            truth = self._truth(prediction.name) == 1
            for stage, mask in (('coarse', prediction.coarse_mask), ('refined', prediction.mask)):
                self.scores[name][stage].append(overlap(mask == 1, truth))
            if prediction.name in self.shown:
                self._kept[name][prediction.name] = prediction

    def means(self) -> dict[str, dict[str, dict[str, float]]]:
        """By model and stage, the mean over the test images of each metric of the table."""
        return {
            name: {
                stage: {metric: float(np.mean([score[metric] for score in scores])) for metric in SHOWN}
                for stage, scores in stages.items()
            }
            for name, stages in self.scores.items()
        }

    def table(self) -> Table:
        """The means, a row for each model and stage."""
        table = Table('model', 'stage', title=f'{len(self.names)} test images', title_justify='left')
        for metric in SHOWN:
            table.add_column(metric, justify='right')
        for name, stages in self.means().items():
            for stage, means in stages.items():
                table.add_row(name, stage, *(f'{means[metric]:.4f}' for metric in SHOWN))
            table.add_section()
        return table

    def write_picture(self, path: str | Path, panels: Mapping[str, tuple[str, str]]) -> None:
        """Write the images of the picture, one a row.

        Args:
            path (str | Path): The PNG file.
            panels (Mapping[str, tuple[str, str]]): By its heading, the model and the stage of each panel that follows
                image and ground truth.
        """
        rows = []
        for name in self.shown:
            index = self.names.index(name)
            masks = {}
            for heading, (model, stage) in panels.items():
                prediction = self._kept[model][name]
                mask, colour = (prediction.coarse_mask, COARSE) if stage == 'coarse' else (prediction.mask, REFINED)
                masks[heading] = (mask, colour, self.scores[model][stage][index]['Dice'])
            rows.append(draw_model_panels(prediction.image, self._truth(name), masks, name))
        with whole_file(path) as partial:
            Image.fromarray(stack_pictures(rows)).save(partial, format='PNG')

    def _truth(self, name: str) -> np.ndarray:
        return read_mask(self.folder / 'masks' / f'{name}.png', LABELS)


def seen_in_training(made: dict, splits: Splits) -> str:
    """What the training of a model has to do with the test images of a dataset, in a sentence or two.

    Args:
        made (dict): The provenance of the model.
        splits (Splits): Of the dataset.
    """
    trained = made.get('splits') or {}
    if not trained:
        return 'It does not say what it was trained on: it may have seen these images.'
    if splits.dataset not in trained:
        return f'It was trained on {", ".join(trained)}, not on {splits.dataset}.'
    if trained[splits.dataset] == splits.digest:
        return f'It was trained on {splits.dataset} too, with the same split: these test images were held out.'
    return (
        f'It was trained on {splits.dataset} with another split: it has seen some of these images, and its figures '
        'here are no test.'
    )
