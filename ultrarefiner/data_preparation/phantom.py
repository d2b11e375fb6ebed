"""Phantoms: speckled breast-ultrasound-like images with known lesions, in the layout of the BUSI archive.

An image is made as a scanner makes it: a map of echo strength in decibels (skin, fat, gland, muscle, lesions),
weakened with depth and behind what absorbs; complex Gaussian scatterers of that strength, blurred by a point-spread
function that widens with depth, whose magnitude is Rayleigh-distributed speckle; and log compression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from .errors import DatasetError
from .images import png_bytes

MALIGNANT_SHARE, NORMAL_SHARE, TWO_LESIONS_SHARE, REPEAT_SHARE = 0.32, 0.06, 0.08, 0.06
LOOKS = 3  # Scanners average several angles, which calms the speckle.
DYNAMIC_RANGE = 58.0  # dB shown between black and white, a usual setting.


@dataclass
class Phantom:
    """One image and its lesions.

    Args:
        image (np.ndarray): (H, W) uint8.
        lesions (list[np.ndarray]): (H, W) bool each; none in a normal image.
    """

    image: np.ndarray
    lesions: list[np.ndarray] = field(default_factory=list)


def write_archive(
    folder: str | Path, n_images: int, seed: int, track: Callable[[Sequence], Iterable] = iter
) -> dict[str, int]:
    """Write phantoms as `{benign,malignant,normal}/benign (1).png` with masks, as the BUSI archive has them.

    A few are the image before them again with other gain and burnt-in calipers, as in BUSI, so that a split has
    near-duplicates to keep together.

    Args:
        folder (str | Path): Where; absent or empty.
        n_images (int): Images in all, 16 or more.
        seed (int): Decides every pixel.
        track (Callable): Wraps the list of images, to show progress.

    Returns:
        dict[str, int]: Number of images by label.

    Raises:
        DatasetError: If the folder holds anything, or too few images are asked for.
    """
    folder = Path(folder)
    if n_images < 16 or seed < 0:
        raise DatasetError(f'{n_images} images of seed {seed}: expected 16 or more images and a seed of 0 or more.')
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f'{folder}: is not an empty folder; choose another.')
    counts = {'normal': round(NORMAL_SHARE * n_images), 'malignant': round(MALIGNANT_SHARE * n_images)}
    counts['benign'] = n_images - sum(counts.values())
    jobs = [(label, number) for label in sorted(counts) for number in range(1, counts[label] + 1)]
    last: dict[str, Phantom] = {}
    for index, (label, number) in enumerate(track(jobs)):
        rng = np.random.default_rng((seed, index))
        repeats = label in last and rng.random() < REPEAT_SHARE
        phantom = seen_again(last[label], rng) if repeats else make_phantom(label, rng)
        last[label] = phantom
        _write(folder / label, f'{label} ({number})', phantom)
    return counts


def make_phantom(label: str, rng: np.random.Generator) -> Phantom:
    """One phantom.

    Args:
        label (str): 'benign' (oval, wider than tall, often brighter behind), 'malignant' (irregular, often taller,
            often with a shadow) or 'normal'.
        rng (np.random.Generator): Decides every pixel.

    Returns:
        Phantom: Of 180 to 280 pixels a side.
    """
    height, width = int(rng.integers(180, 251)), int(rng.integers(200, 281))
    echo, layers = _tissue(height, width, rng)
    beam = np.zeros((height, width))
    lesions: list[np.ndarray] = []
    n_lesions = 0 if label == 'normal' else 1 + int(rng.random() < TWO_LESIONS_SHARE)
    for index in range(n_lesions):
        share = (index + 0.5) / n_lesions + rng.uniform(-0.22, 0.22) / n_lesions
        lesion = _outline(height, width, share, 1 / n_lesions, label, rng)
        if lesion.any() and not any((lesion & other).any() for other in lesions):
            lesions.append(lesion)
            echo, beam = _insert(echo, beam, lesion, label, rng)
    beam += _shadows(height, width, rng)
    depth = np.linspace(0, 1, height)[:, None]
    beam -= rng.uniform(12, 48) * np.clip(depth - rng.uniform(0.3, 0.65), 0, None) ** 1.2
    decibels = _speckle(echo + beam, rng)
    gain = rng.uniform(26, 35) - np.median(decibels[layers])
    image = (decibels + gain) / DYNAMIC_RANGE
    return Phantom((np.clip(image, 0, 1) ** rng.uniform(1.0, 1.3) * 255).astype(np.uint8), lesions)


def seen_again(phantom: Phantom, rng: np.random.Generator) -> Phantom:
    """The same frame with other gain and, where there is a lesion, two calipers burnt in."""
    image = np.clip(phantom.image * rng.uniform(0.85, 1.1) + rng.uniform(-8, 8), 0, 255).astype(np.uint8)
    for lesion in phantom.lesions[:1]:
        rows, columns = np.nonzero(lesion)
        for column in (columns.min(), columns.max()):
            row = int(rows[columns == column].mean())
            image[max(row - 3, 0) : row + 4, column] = 235
            image[row, max(column - 3, 0) : column + 4] = 235
    return Phantom(image, [lesion.copy() for lesion in phantom.lesions])


def _tissue(height: int, width: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Echo strength in dB of the layers without a lesion, and where fat and gland are."""
    rows = np.arange(height)[:, None]
    skin, gland, muscle, wall = (
        height * (share + spread * _wave(width, smooth, rng))
        for share, spread, smooth in (
            (rng.uniform(0.025, 0.05), 0.004, 60),
            (rng.uniform(0.16, 0.34), 0.05, 30),
            (rng.uniform(0.68, 0.84), 0.035, 45),
            (rng.uniform(0.9, 1.05), 0.02, 45),
        )
    )
    echo = np.full((height, width), -14.0)  # fat
    echo = np.where(rows >= gland, -5.0, echo)
    echo = np.where(rows >= muscle, -13.0, echo)
    echo = np.where(rows >= wall, -24.0, echo)
    echo = np.where(rows < skin, -4.0, echo)
    between = (rows >= skin) & (rows < muscle)
    # Gland is streaky, fat lobulated: the lobules darken places that are no lesion.
    echo += np.where(rows >= gland, 4.0, 1.2) * _texture(height, width, (2.2, 14), rng)
    echo += np.where(rows >= gland, 3.2, 1.5) * _texture(height, width, (1.2, 6), rng)
    echo += 3.0 * _texture(height, width, (9, 16), rng)
    lobules = _texture(height, width, (rng.uniform(7, 12), rng.uniform(12, 22)), rng)
    echo -= np.where(between, 7.0 * np.clip(lobules - 0.7, 0, 1.3), 0)
    for edge, strength in ((skin, 7.0), (gland, 6.0), (muscle, 9.0), (wall, 10.0)):
        echo += strength * np.exp(-(((rows - edge) / rng.uniform(0.9, 1.8)) ** 2)) * (0.6 + 0.4 * _wave(width, 12, rng))
    for _ in range(int(rng.integers(8, 20))):
        echo += _septum(height, width, skin.mean(), muscle.mean(), rng)
    striae = np.sin((rows - muscle) * 2 * np.pi / rng.uniform(5, 8) + 1.5 * _texture(height, width, (3, 25), rng))
    echo += np.where((rows > muscle) & (rows < wall), 3.5 * striae, 0)
    return gaussian_filter(echo, 0.7), between


def _septum(height: int, width: int, top: float, bottom: float, rng: np.random.Generator) -> np.ndarray:
    """A bright, thin, slightly curved line of connective tissue, fading at its ends."""
    centre = np.array([rng.uniform(top, bottom), rng.uniform(0, width)])
    slope, bend = rng.normal(0, 0.25), rng.normal(0, 0.0025)
    half = rng.uniform(0.08, 0.28) * width
    along = np.arange(width) - centre[1]
    line = centre[0] + slope * along + bend * along**2 + 1.5 * _wave(width, 9, rng)
    strength = rng.uniform(7, 17) * np.exp(-((along / half) ** 4))
    seen = strength > 0.05
    septum = np.zeros((height, width))
    distance = (np.arange(height)[:, None] - line[seen]) / rng.uniform(0.7, 1.3)
    septum[:, seen] = strength[seen] * np.exp(-(distance**2))
    return septum


def _outline(
    height: int, width: int, column_share: float, room: float, label: str, rng: np.random.Generator
) -> np.ndarray:
    """A lesion's mask: an ellipse whose radius varies with the angle, more the more malignant."""
    malignant = label == 'malignant'
    area = np.exp(rng.uniform(np.log(0.012), np.log(0.13))) * height * width * min(1, room + 0.2)
    aspect = rng.uniform(0.75, 1.5) if malignant else rng.uniform(1.15, 2.3)  # width over height
    radius_y = np.sqrt(area / np.pi / aspect)
    radius_x = radius_y * aspect
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    roughness, decay = (0.24, 0.95) if malignant else (0.10, 1.3)
    radius = np.ones_like(angles)
    for order in range(2, 13):
        radius += rng.normal(0, roughness) / order**decay * np.cos(order * angles + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.45, 1.7)
    centre_y = np.clip(rng.uniform(0.24, 0.66) * height, radius_y * 1.1 + 0.1 * height, 0.9 * height - radius_y)
    centre_x = np.clip(column_share, 0.12, 0.88) * width
    rows, columns = np.mgrid[:height, :width]
    tilt = rng.normal(0, 0.22)
    dx, dy = columns - centre_x, rows - centre_y
    along, across = dx * np.cos(tilt) + dy * np.sin(tilt), -dx * np.sin(tilt) + dy * np.cos(tilt)
    u, v = along / radius_x, across / radius_y
    place = np.mod(np.arctan2(v, u), 2 * np.pi) / (2 * np.pi) * len(angles)
    return np.hypot(u, v) < map_coordinates(radius, [place], order=1, mode='grid-wrap')


def _insert(
    echo: np.ndarray, beam: np.ndarray, lesion: np.ndarray, label: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The tissue with a lesion in it, and what the lesion does to the beam behind it."""
    height, width = lesion.shape
    malignant = label == 'malignant'
    blur = rng.uniform(1.2, 4.0) if malignant else rng.uniform(0.7, 2.2)
    soft = gaussian_filter(lesion.astype(float), blur)
    # The border fades more in some places than in others.
    soft = np.clip(soft * (1 + 0.25 * _texture(height, width, (12, 12), rng)), 0, 1)
    contrast = rng.uniform(7.0, 20.0)
    inside = np.median(echo[lesion]) - contrast + rng.uniform(1.5, 4.0) * _texture(height, width, (4, 6), rng)
    if not malignant and rng.random() < 0.15:
        inside -= 14.0  # a cyst: no echoes
    echo = echo * (1 - soft) + inside * soft
    if malignant:
        rim = np.clip(gaussian_filter(lesion.astype(float), blur + 4) - soft, 0, 1)
        echo = echo + rng.uniform(2, 8) * rim  # echogenic halo
        spots = (rng.random(lesion.shape) > 0.996) & lesion
        echo = echo + rng.uniform(0, 60) * gaussian_filter(spots.astype(float), 0.8)  # calcifications
    path = gaussian_filter1d(np.cumsum(lesion, axis=0).astype(float), 2.5, axis=1) / height
    behind = path * (1 - soft)
    if malignant:
        effect = -rng.uniform(0, 55) if rng.random() < 0.7 else rng.uniform(0, 10)
    else:
        effect = rng.uniform(0, 38) if rng.random() < 0.7 else -rng.uniform(0, 18)
    return echo, beam + np.clip(effect * behind, -22, 9)


def _shadows(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Dark columns below places that absorb or where the probe lifts off: they are no lesions."""
    shadow = np.zeros((height, width))
    columns, rows = np.arange(width), np.arange(height)[:, None]
    for _ in range(int(rng.integers(0, 4))):
        start, spread = rng.uniform(0.1, 0.7) * height, rng.uniform(5, 16)
        profile = np.exp(-(((columns - rng.uniform(0, width)) / spread) ** 2))
        shadow -= rng.uniform(3, 11) * profile * np.clip((rows - start) / (0.15 * height), 0, 1)
    return shadow


def _speckle(strength: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a scanner shows of an echo strength in dB: speckle of a width that grows with depth, in dB."""
    height, width = strength.shape
    amplitude = 10 ** (strength / 20)
    depth = np.linspace(0, 1, height)[:, None]
    envelope = np.zeros((height, width))
    for _ in range(LOOKS):
        real, imaginary = (
            sum(
                weight * lateral**0.5 * gaussian_filter(part * amplitude, (0.7, lateral))
                for weight, lateral in ((1 - depth, 0.9), (depth, 2.2))
            )
            for part in rng.normal(size=(2, height, width))
        )
        envelope += np.hypot(real, imaginary) / LOOKS
    noise = 10 ** (-46 / 20)  # the receiver's own
    return 20 * np.log10(gaussian_filter(envelope, 0.45) + noise)


def _wave(width: int, smooth: float, rng: np.random.Generator) -> np.ndarray:
    """A smooth random curve of variance 1, (W,)."""
    curve = gaussian_filter1d(rng.normal(size=width), smooth, mode='reflect')
    return (curve - curve.mean()) / (curve.std() + 1e-9)


def _texture(height: int, width: int, smooth: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """A smooth random field of variance 1, (H, W)."""
    texture = gaussian_filter(rng.normal(size=(height, width)), smooth, mode='reflect')
    return (texture - texture.mean()) / texture.std()


def _write(folder: Path, stem: str, phantom: Phantom) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{stem}.png').write_bytes(png_bytes(Image.fromarray(phantom.image)))
    masks = phantom.lesions or [np.zeros(phantom.image.shape, bool)]
    for index, lesion in enumerate(masks):
        ending = '_mask' if index == 0 else f'_mask_{index}'
        (folder / f'{stem}{ending}.png').write_bytes(png_bytes(Image.fromarray(lesion.astype(np.uint8) * 255)))
