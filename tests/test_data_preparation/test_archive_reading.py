import os
import stat
import zipfile

import pytest
from archive_makers import make_busi, zip_folder

from ultrarefiner.data_preparation.archive import open_archive
from ultrarefiner.data_preparation.errors import DatasetError


def write_zip(path, members):
    with zipfile.ZipFile(path, 'w') as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def test_zip_and_folder_hold_the_same_files_in_sorted_order(tmp_path):
    folder = make_busi(tmp_path / 'Dataset_BUSI_with_GT', 3, 2, 1)
    zipped = zip_folder(folder, tmp_path / 'busi.zip')
    with open_archive(folder.parent) as one, open_archive(zipped) as other:
        names = [name for name in one.names if not name.endswith('.zip')]
        assert names == other.names == sorted(names)
        assert [one.read(name) for name in names] == [other.read(name) for name in names]
        assert one.locate('benign', 'malignant') == other.locate('benign', 'malignant') == 'Dataset_BUSI_with_GT'


@pytest.mark.parametrize('name', ['../evil.png', 'a/../../evil.png', '/etc/evil', 'C:/evil.png', '..\\evil.png'])
def test_member_that_would_land_outside_is_refused(tmp_path, name):
    # zipfile tidies names on the way in, so the record is made by hand.
    info = zipfile.ZipInfo('placeholder')
    info.filename = name
    path = tmp_path / 'slip.zip'
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr(info, b'x')
    with pytest.raises(DatasetError, match='outside the target'):
        open_archive(path)


def test_symbolic_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo('images/a.png')
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DatasetError, match='symbolic link'):
        open_archive(write_zip(tmp_path / 'link.zip', [(info, '/etc/passwd')]))


@pytest.mark.parametrize('is_folder', [False, True])
def test_symbolic_link_out_of_a_folder_is_refused(tmp_path, is_folder):
    outside = tmp_path / 'outside'
    outside.mkdir()
    (outside / 'secret.png').write_bytes(b'x')
    (tmp_path / 'data').mkdir()
    os.symlink(outside if is_folder else outside / 'secret.png', tmp_path / 'data' / 'link.png')
    with pytest.raises(DatasetError, match='leads outside'):
        open_archive(tmp_path / 'data')


def test_clutter_of_operating_systems_is_not_seen(tmp_path):
    members = [('__MACOSX/images/._a.png', b''), ('images/.DS_Store', b''), ('images/a.png', b'x'), ('Thumbs.db', b'')]
    with open_archive(write_zip(tmp_path / 'a.zip', members)) as archive:
        assert archive.names == ['images/a.png']


def test_damaged_zip_member_is_named(tmp_path):
    path = write_zip(tmp_path / 'a.zip', [('a.png', b'0123456789' * 10)])
    data = bytearray(path.read_bytes())
    data[45] ^= 0xFF  # in the member's content, behind its 30 bytes of header and 5 of name
    path.write_bytes(data)
    with open_archive(path) as archive, pytest.raises(DatasetError, match="'a.png' cannot be read.*download it again"):
        archive.read('a.png')


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize(
    'make, message',
    [
        (lambda path: None, 'no such file'),
        (lambda path: path.write_bytes(b'no zip at all'), 'neither a folder nor a .zip'),
        (lambda path: write_zip(path, [('a.png', b'1'), ('a.png', b'2')]), 'more than once'),
    ],
)
def test_what_is_no_archive_is_explained(tmp_path, make, message):
    make(tmp_path / 'x.zip')
    with pytest.raises(DatasetError, match=message):
        open_archive(tmp_path / 'x.zip')


def test_layout_found_twice_is_not_guessed(tmp_path):
    members = [(f'{top}/{kind}/a.png', b'x') for top in 'ab' for kind in ('images', 'masks')]
    with open_archive(write_zip(tmp_path / 'a.zip', members)) as archive:
        with pytest.raises(DatasetError, match=r'more than one folder \(a, b\)'):
            archive.locate('images', 'masks')
        with pytest.raises(DatasetError, match='expected a folder with benign, malignant'):
            archive.locate('benign', 'malignant')
