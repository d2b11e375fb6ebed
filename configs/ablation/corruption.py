# An axis for tools/ablate.py --presets: what the refiner of phase 2 is trained on beside real predictions. Write
# {out_dir}/preset.json with tools/analysis_tools/fit_corruption.py first.


def _pipeline(*corruption):
    return [
        dict(type='LoadImage', grey_channels=1),
        dict(type='LoadMask'),
        dict(type='LoadCoarsePrediction'),
        *corruption,
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(type='RandomRotate', prob=0.5, degree=20, pad_val=0, seg_pad_val=0),
        dict(type='PackRefinerInputs'),
    ]


presets = {
    'corruption': {
        'none': {'train_dataloader.dataset.pipeline': _pipeline()},
        'fitted': {
            'train_dataloader.dataset.pipeline': _pipeline(
                dict(type='CorruptMask', preset='{out_dir}/preset.json', ratio=0.3)
            ),
            'custom_hooks': [dict(type='DatasetEpochHook')],
        },
    },
}
