"""Small archives in the exact layouts of the five datasets, with their known pitfalls planted."""

import csv
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (36, 48)  # (H, W)


def noise(seed, size=SIZE):
    """Smooth noise whose perceptual hash is its own, (H, W) uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (18, 18), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def square(top, left, side=6, size=SIZE):
    """A mask with one square lesion, (H, W) uint8 0/255."""
    mask = np.zeros(size, np.uint8)
    mask[top : top + side, left : left + side] = 255
    return mask


def save(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array))
    (image.convert(mode) if mode else image).save(path)


def write_csv(path, header, rows, delimiter=',', encoding='utf-8'):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', newline='', encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])


def make_busi(root, n_benign=16, n_malignant=9, n_normal=3):
    """Benign (1) has two masks, (2) an RGBA, (3) an RGB, (4) a one-bit mask; malignant (1) is benign (5) again."""
    seed = 0
    for label, count in (('benign', n_benign), ('malignant', n_malignant), ('normal', n_normal)):
        for number in range(1, count + 1):
            seed += 1
            stem = root / label / f'{label} ({number})'
            save(stem.with_name(f'{stem.name}.png'), noise(seed), 'RGB')
            mask = square(4, 4 + number, 5 + number % 8) if label != 'normal' else np.zeros(SIZE, np.uint8)
            mode = {('benign', 2): 'RGBA', ('benign', 3): 'RGB', ('benign', 4): '1'}.get((label, number))
            save(stem.with_name(f'{stem.name}_mask.png'), mask, mode)
    save(root / 'benign' / 'benign (1)_mask_1.png', square(26, 30))
    save(root / 'malignant' / 'malignant (1).png', noise(5))
    return root


def make_busbra(root, n_patients=16, official=False):
    """Two views a patient, left and right; the views of one patient do not look alike."""
    rows, folds = [], []
    for patient in range(1, n_patients + 1):
        for side in 'lr':
            key = f'{patient:04d}-{side}'
            save(root / 'Images' / f'bus_{key}.png', noise(1000 + 2 * patient + (side == 'l')))
            save(root / 'Masks' / f'mask_{key}.png', square(5, 5 + patient, 4 + patient % 9), '1')
            label = 'malignant' if patient % 3 == 0 else 'benign'
            rows.append((f'bus_{key}', patient, 'x', label, 4, 'y', SIZE[1], SIZE[0], side, '[1,2,3,4]'))
            folds.append((f'bus_{key}', label, patient % 5 + 1))
    header = ('ID', 'Case', 'Histology', 'Pathology', 'BIRADS', 'Device', 'Width', 'Height', 'Side', 'BBOX')
    write_csv(root / 'bus_data.csv', header, rows)
    if official:
        write_csv(root / '5-fold-cv.csv', ('ID', 'Pathology', 'kFold'), folds)
    return root


def make_udiat(root, count=14):
    """Masks have a grey border of 149 (background) around a grey 200 (lesion)."""
    for number in range(1, count + 1):
        save(root / 'original' / f'{number:06d}.png', noise(2000 + number))
        mask = square(3, 3 + number % 20, 8).astype(int) * 149 // 255
        mask[5:9, 5 + number % 20 : 9 + number % 20] = 200
        save(root / 'GT' / f'{number:06d}.png', mask.astype(np.uint8))
    return root


def make_busis(root, count=14, folders=('original', 'GT')):
    """Numbers are padded with zeros in the folder of the masks alone."""
    for number in range(1, count + 1):
        save(root / folders[0] / f'case{number}.png', noise(3000 + number))
        save(root / folders[1] / f'case{number:03d}.png', square(3, 3 + number % 20, 8))
    return root


def make_bus_uc(root, count=9):
    """Nested twice; `All` repeats the classes; one mask of half the size, one empty; numbers repeat between classes."""
    inner = root / 'BUS_UC' / 'BUS_UC'
    for title, start in (('Benign', 4000), ('Malignant', 4500)):
        for number in range(1, count + 1):
            mask = square(6, 2 * number, 8 + number % 5)
            if title == 'Benign' and number == 1:
                mask = mask[::2, ::2]
            if title == 'Malignant' and number == 2:
                mask = np.zeros(SIZE, np.uint8)
            for folder in (title, 'All'):
                name = f'{number:03d}.png' if folder == title else f'{title[0]}{number:03d}.png'
                save(inner / folder / 'images' / name, noise(start + number))
                save(inner / folder / 'masks' / name, mask)
    return root


def make_bus_uclm(root, n_patients=9):
    """Three frames a patient: benign green, malignant red, normal black; patient HESN is cropped."""
    rows = []
    patients = [f'P{chr(65 + index)}XX' for index in range(n_patients)] + ['HESN']
    for index, patient in enumerate(patients):
        for frame, (label, colour) in enumerate((('Benign', 1), ('Malignant', 0), ('Normal', None))):
            name = f'{patient}_{frame:03d}.png'
            image = noise(5000 + 10 * index + frame)
            save(root / 'images' / name, image[:, :30] if patient == 'HESN' else image, 'RGB')
            mask = np.zeros((*SIZE, 3), np.uint8)
            if colour is not None:
                mask[..., colour] = square(4, 3 + 2 * index, 7)
            save(root / 'masks' / name, mask)
            rows.append((name, '48x36', label, 'Yes' if frame == 1 else 'No', 'No', 'Yes' if index == 0 else 'No'))
    header = ('Image', 'Resolution', 'Label', 'Doppler', 'Marks', 'Combined')
    write_csv(root / 'INFO.csv', header, rows, ';', 'utf-8-sig')
    return root


def zip_folder(folder, path):
    with zipfile.ZipFile(path, 'w') as file:
        for member in sorted(folder.rglob('*'), reverse=True):  # another order than the folder's
            if member.is_file():
                file.write(member, member.relative_to(folder.parent).as_posix())
    return path


def all_bytes(folder):
    """Path to content of every file."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob('*') if path.is_file()
    }


def read_mask(folder, row):
    return np.asarray(Image.open(folder / row.mask))
