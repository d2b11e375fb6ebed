"""Image headers: a file that was cut is told from a whole one, whatever else is in it."""

import io

import numpy as np
import pytest
from PIL import Image

from ultrarefiner.datasets.image_header import is_truncated

PIXELS = np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8)


def encode(**options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, 'JPEG', **options)
    return file.getvalue()


def with_thumbnail():
    """EXIF holds a whole JPEG of its own, with an end marker before the pixels of the image begin."""
    inner = encode(quality=30)
    exif = b'Exif\x00\x00' + inner
    content = encode()
    return content[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + content[2:]


WHOLE = dict(
    baseline=encode(),
    progressive=encode(progressive=True),
    restarts=encode(restart_marker_blocks=2),
    comment=encode(comment=b'\xff\xd9'),
    thumbnail=with_thumbnail(),
)


@pytest.mark.parametrize('content', WHOLE.values(), ids=WHOLE)
def test_a_jpeg_is_whole_with_its_end_and_cut_without(content):
    for trailing in (b'', b'\x00' * 500, b'\n', content):
        assert not is_truncated(io.BytesIO(content + trailing))
    Image.open(io.BytesIO(content)).load()
    for kept in (len(content) - 1, len(content) - 2, len(content) - 300, len(content) // 2):
        assert is_truncated(io.BytesIO(content[:kept])), kept


def test_a_png_is_whole_with_its_trailer_alone():
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, 'PNG')
    assert not is_truncated(file)
    assert is_truncated(io.BytesIO(file.getvalue()[:-1]))


def test_other_formats_are_not_judged():
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, 'BMP')
    assert not is_truncated(io.BytesIO(file.getvalue()[:-100]))
