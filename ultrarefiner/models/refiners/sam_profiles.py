"""The input profiles that the published weights of the SAM family want."""

from __future__ import annotations

from dataclasses import replace

from ...structures import MEDSAM_PROFILE, SAM_PROFILE, InputProfile

PROFILES = dict(
    sam=SAM_PROFILE,
    medsam=MEDSAM_PROFILE,
    sam2=InputProfile(size=(1024, 1024), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    sam3=InputProfile(size=(1008, 1008), mean=(0.5,), std=(0.5,)),
)


def sam_profile(config: str | dict, image_size: int, owner: str) -> InputProfile:
    """An input profile by name, at the size that an architecture takes, or from its values.

    Args:
        config (str | dict): A name in `PROFILES`, or the values of an `InputProfile`.
        image_size (int): Side in pixels of the square input.
        owner (str): The refiner's class, for messages.

    Raises:
        ValueError: If there is no such name, or the values are not for RGB images of that size.
    """
    if isinstance(config, str):
        if config not in PROFILES:
            raise ValueError(
                f'{owner}: input_profile is {config!r}, expected one of {sorted(PROFILES)} or the values of an '
                'InputProfile'
            )
        return replace(PROFILES[config], size=(image_size, image_size))
    profile = InputProfile(**config)
    if profile.size != (image_size, image_size) or profile.grey:
        raise ValueError(
            f'{owner}: input_profile has size {profile.size} and grey={profile.grey}, but the architecture takes RGB '
            f'images of {image_size} x {image_size} pixels; change one of them'
        )
    return profile
