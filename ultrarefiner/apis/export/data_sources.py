"""What is known of public datasets: their terms, and what to cite."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class DataSource:
    """One dataset.

    Args:
        terms (str): On which it may be used, as far as they are known.
        citation (str): The publication, or where it is published; empty where there is nothing to cite.
    """

    terms: str
    citation: str = ''


UDIAT = DataSource(
    'given out by request to its authors (UDIAT Dataset B)',
    'M. H. Yap et al. Automated breast ultrasound lesions detection using convolutional neural networks. IEEE Journal '
    'of Biomedical and Health Informatics 22(4), 2018, 1218-1226. doi:10.1109/JBHI.2017.2731873',
)
# A name is compared without case and punctuation.
DATA_SOURCES = dict(
    busi=DataSource(
        'public, CC0 or other terms depending on where it was downloaded: check; for research, not for clinical use',
        'W. Al-Dhabyani, M. Gomaa, H. Khaled, A. Fahmy. Dataset of breast ultrasound images. Data in Brief 28, 2020, '
        '104863. doi:10.1016/j.dib.2019.104863',
    ),
    busbra=DataSource(
        'CC BY 4.0 (Zenodo 8231412)',
        'W. Gómez-Flores, M. J. Gregorio-Calas, W. Coelho de Albuquerque Pereira. BUS-BRA: A breast ultrasound dataset '
        'for assessing computer-aided diagnosis systems. Medical Physics 51(4), 2024, 3110-3123. doi:10.1002/mp.16812',
    ),
    bus=UDIAT,
    udiat=UDIAT,
    busis=DataSource(
        'given out by licence request to its authors (BUSIS; cvprip.cs.usu.edu/busbench)',
        'Y. Zhang et al. BUSIS: A benchmark for breast ultrasound image segmentation. Healthcare 10(4), 2022, 729. '
        'doi:10.3390/healthcare10040729',
    ),
    busuc=DataSource(
        'Mendeley Data 3ksd7w7jkx; its terms and the origin of its images are to be checked',
        'BUS_UC. Mendeley Data, doi:10.17632/3ksd7w7jkx',
    ),
    busuclm=DataSource(
        'CC BY 4.0 (Mendeley Data 7fvgj4jsp7)',
        'N. Vallez, G. Bueno, O. Deniz, M. A. Rienda, C. Pastor. BUS-UCLM: Breast ultrasound lesion segmentation '
        'dataset. Scientific Data 12, 2025, 242. doi:10.1038/s41597-025-04562-3',
    ),
    phantom=DataSource('phantom images drawn by a program; no terms'),
)


def data_source(name: str) -> DataSource | None:
    """What is known of a dataset by its name, such as 'BUS_UCLM'; None of another one."""
    return DATA_SOURCES.get(re.sub(r'[^a-z0-9]', '', str(name).lower()))
