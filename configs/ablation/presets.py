# What the axes of tools/ablate.py stand for: --grid prompts=point,box+mask takes the values 'point' and 'box+mask' of
# the axis 'prompts'. A file of your own, given with --presets, adds to these or replaces those of the same name.
#
# Axes act on the config in the order in which they stand here, whatever the order on the command line: 'lora' changes
# the refiner that 'refiner' has put in place.

# Every file is a preset, named by what stands for the star; it sets one variable, which replaces the key.
fragments = dict(
    coarse=dict(files='../_base_/models/coarse_*.py', replaces='model.coarse'),
    refiner=dict(files='../_base_/models/refiner_*.py', replaces='model.refiner'),
    prompts=dict(files='../_base_/models/prompts_*.py', replaces='model.prompt_generator'),
)

# Every other preset holds overrides as --cfg-options takes them: keys may be dotted, a dict is merged into what is
# there, and one with _delete_=True replaces it.
presets = {
    'prompts': {
        # The method's, which may lie inside of the object, and one that does not.
        'negative-point': {'model.prompt_generator': dict(_delete_=True, type='NegativePoint')},
        'outside-point': {'model.prompt_generator': dict(_delete_=True, type='OutsidePoint')},
    },
    'selection': {
        'argmax': {'model.refiner.selection': dict(_delete_=True, type='ArgmaxSelection')},
        'softmax': {'model.refiner.selection': dict(_delete_=True, type='SoftmaxSelection')},
        'single-mask': {'model.refiner.selection': dict(_delete_=True, type='SingleMaskSelection')},
    },
    # The rank of the refiner's LoRA; 0 is the frozen encoder without LoRA.
    'lora': {
        '0': {'model.refiner.encoder': 'frozen'},
        '4': {'model.refiner.encoder': dict(_delete_=True, type='LoRAAdapter', r=4, lora_alpha=4.0)},
        '8': {'model.refiner.encoder': dict(_delete_=True, type='LoRAAdapter', r=8, lora_alpha=8.0)},
        '16': {'model.refiner.encoder': dict(_delete_=True, type='LoRAAdapter', r=16, lora_alpha=16.0)},
    },
}

# Presets joined by a plus act together, and a key that several of them set is made of all their values.
joined = {'model.prompt_generator': dict(type='ComposePrompts', parts='generators')}
