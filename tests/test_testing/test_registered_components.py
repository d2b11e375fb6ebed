"""Every registered prompt generator, object splitter, gate, refiner, adapter and stage loss keeps its contract."""

import pytest
import torch
from mmengine.registry import init_default_scope

from ultrarefiner.models.peft.peft_adapter import METHODS
from ultrarefiner.registry import ADAPTERS, GATES, OBJECT_SPLITTERS, PROMPT_GENERATORS, REFINERS, STAGE_LOSSES
from ultrarefiner.structures import SegOutput, Stages, StageTarget
from ultrarefiner.testing import (
    check_adapter,
    check_gate,
    check_loss,
    check_object_splitter,
    check_prompt_generator,
    check_refiner,
)
from ultrarefiner.testing.toy_masks import ellipse_logits, random_images, toy_prompts

# The arguments of the components that cannot be built without any, and variants worth a check of their own.
PROMPT_GENERATOR_ARGUMENTS = {
    'ComposePrompts': [
        dict(generators=[dict(type=name) for name in ('SoftArgmaxPoint', 'NegativePoint', 'MomentBox', 'MaskPrompt')]),
        dict(generators=[dict(type='ThresholdBox')]),
    ],
    'GridPoints': [dict(), dict(rows=1, columns=3), dict(rows=3, columns=3)],
    'JitterBox': [dict(), dict(box=dict(type='ThresholdBox'))],
    'MaskPrompt': [dict(), dict(size=(32, 32))],
    'MomentBox': [dict(), dict(k=1.732, power=2.0)],
    'NegativePoint': [dict(), dict(box=dict(type='ThresholdBox'))],
    'OutsidePoint': [dict(), dict(box=dict(type='MomentBox'))],
    'PointDropout': [dict(generator=dict(type='GridPoints'))],
    'RandomPromptSubset': [
        dict(
            generator=dict(
                type='ComposePrompts',
                generators=[dict(type=name) for name in ('GridPoints', 'JitterBox', 'LearnableMaskPrompt')],
            )
        )
    ],
    'SoftArgmaxPoint': [dict(), dict(power=2.0)],
}
OBJECT_SPLITTER_ARGUMENTS = {'ConnectedComponents': [dict(), dict(max_objects=2, min_area=0.0)]}
# A SAM of two blocks, trained throughout, as in tests/test_models/test_refiners/sam_makers.py.
SAM_ARGUMENTS = dict(
    arch=dict(
        image_size=64,
        patch_size=8,
        embed_dim=32,
        depth=2,
        num_heads=2,
        global_attn_indexes=(1,),
        window_size=3,
        prompt_dim=32,
        decoder_mlp_dim=32,
        decoder_num_heads=2,
        iou_head_hidden_dim=16,
    ),
    encoder='trained',
)
SAM = dict(type='SAMRefiner', **SAM_ARGUMENTS)
CONV_ARGUMENTS = dict(input_size=(32, 32), width=8, depth=3, norm_groups=4)
CONV = dict(type='ConvRefiner', **CONV_ARGUMENTS)
BOX = dict(type='ThresholdBox')
UNET = dict(
    type='EncoderDecoder',
    backbone=dict(
        type='mmseg.UNet',
        base_channels=4,
        num_stages=2,
        strides=(1, 1),
        enc_num_convs=(1, 1),
        dec_num_convs=(1,),
        downsamples=(True,),
        enc_dilations=(1, 1),
        dec_dilations=(1,),
        norm_cfg=dict(type='GN', num_groups=2),
    ),
    decode_head=dict(type='mmseg.FCNHead', in_channels=4, channels=4, num_convs=1, in_index=1, num_classes=2),
    test_cfg=dict(mode='whole'),
)
LEARNED_ARGUMENTS = dict(channels=4, size=(16, 16))
HYBRID_ARGUMENTS = dict(gates=[dict(type='UncertaintyGate'), dict(type='LearnedGate', **LEARNED_ARGUMENTS)])
GATE_ARGUMENTS = {
    'HybridGate': [HYBRID_ARGUMENTS],
    'LearnedGate': [LEARNED_ARGUMENTS],
    'UncertaintyGate': [dict(), dict(gamma=2.0, gmin=0.1, gmax=0.8)],
}
REFINER_ARGUMENTS = {
    'ConvRefiner': [CONV_ARGUMENTS],
    'GatedRefiner': [
        dict(refiner=SAM, gate=dict(type='HybridGate', **HYBRID_ARGUMENTS)),
        dict(refiner=CONV, gate=dict(type='UncertaintyGate')),
    ],
    'GuardedRefiner': [dict(refiner=SAM), dict(refiner=SAM, rules=dict(predicted_iou=(0.5, None)))],
    'IterativeRefiner': [
        dict(refiner=SAM, num_iterations=2, box=BOX),
        dict(refiner=CONV, num_iterations=2, backprop_iterations=1),
    ],
    'ResidualRefiner': [dict(refiner=SAM), dict(refiner=CONV, scale=1.0, limit=2.0)],
    'ROIRefiner': [
        dict(refiner=SAM, min_size=16),
        dict(refiner=dict(type='IterativeRefiner', refiner=CONV, num_iterations=2, box=BOX), min_size=16),
    ],
    'SAMRefiner': [SAM_ARGUMENTS, dict(selection=dict(type='SingleMaskSelection'), **SAM_ARGUMENTS)],
    'SegmentorRefiner': [dict(segmentor=UNET, segmentor_input=dict(size=(32, 32), grey=True))],
    # Every other architecture is checked in tests/test_models/test_refiners/test_transformers_refiner.py.
    'TransformersRefiner': [
        dict(
            arch=dict(
                model_type='sam',
                image_size=64,
                vision_config=dict(
                    hidden_size=32,
                    output_channels=32,
                    num_pos_feats=16,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    patch_size=8,
                    window_size=3,
                    global_attn_indexes=[1],
                ),
                prompt_encoder_config=dict(hidden_size=32, patch_size=8),
                mask_decoder_config=dict(hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16),
            ),
            encoder='trained',
        )
    ],
}
LOSS_ARGUMENTS = {
    'ChangePenalty': [dict(), dict(floor=0.0)],
    'MinOverCandidatesLoss': [
        dict(),
        dict(losses=[dict(type='StageBoundary'), dict(type='StageDice', loss_weight=2.0)]),
    ],
    'StageDice': [dict(), dict(exponent=2.0)],
}
# The stages of the losses that do not judge both.
LOSS_STAGES = {'ChangePenalty': ['refined']}

FEEDFORWARD = r'blocks\.\d+\.mlp\.lin2'
ADAPTER_ARGUMENTS = {
    'LoRAAdapter': [
        dict(),
        dict(use_dora=True),
        dict(use_rslora=True, lora_alpha=8.0),
        dict(init_lora_weights='pissa'),
        dict(target_modules=r'blocks\.1\.(attn\.proj|mlp\.lin[12])'),
        dict(target_modules=['lin1', 'lin2'], layers_to_transform=[0], layers_pattern='blocks'),
    ],
    # The options fit the small network of the check; each method of PEFTAdapter has an entry.
    'PEFTAdapter': [
        dict(method='DeLoRA', r=4),
        dict(method='FourierFT', n_frequency=50, init_weights=True),
        dict(method='HRA', r=2),
        dict(method='IA3', target_modules=rf'blocks\.\d+\.attn\.qkv|{FEEDFORWARD}', feedforward_modules=FEEDFORWARD),
        dict(method='LN_Tuning', target_modules=r'blocks\.\d+\.norm[12]'),
        dict(method='LoHa', r=2),
        dict(method='LoKr', r=2),
        dict(method='LoRA', r=2),
        dict(method='MiSS', r=4),
        dict(method='RandLoRA', r=4),
        dict(method='RoAd', group_size=16),
        dict(method='SHiRA', r=2),
    ],
    'QKVLoRAAdapter': [dict(), dict(parts=('k',), use_rslora=True), dict(parts=('q', 'k', 'v'), r=2)],
}


def cases(family, arguments):
    """Every registered name, with its arguments; a name without an entry is built without arguments, or fails."""
    init_default_scope('ultrarefiner')
    return [(name, entry) for name in family.names() for entry in arguments.get(name, [dict()])]


@pytest.mark.parametrize('name, arguments', cases(PROMPT_GENERATORS, PROMPT_GENERATOR_ARGUMENTS))
def test_prompt_generator(name, arguments):
    check_prompt_generator(dict(type=name, **arguments))


@pytest.mark.parametrize('name, arguments', cases(OBJECT_SPLITTERS, OBJECT_SPLITTER_ARGUMENTS))
def test_object_splitter(name, arguments):
    check_object_splitter(dict(type=name, **arguments))


@pytest.mark.parametrize('name, arguments', cases(GATES, GATE_ARGUMENTS))
def test_gate(name, arguments):
    check_gate(dict(type=name, **arguments))


@pytest.mark.parametrize('name, arguments', cases(REFINERS, REFINER_ARGUMENTS))
def test_refiner(name, arguments):
    check_refiner(dict(type=name, **arguments))


@pytest.mark.parametrize('name, arguments', cases(ADAPTERS, ADAPTER_ARGUMENTS))
def test_adapter(name, arguments):
    check_adapter(dict(type=name, **arguments))


def test_every_method_of_peft_adapter_is_checked():
    assert {entry['method'].upper() for entry in ADAPTER_ARGUMENTS['PEFTAdapter']} == set(METHODS)


@pytest.mark.parametrize('name, arguments', cases(STAGE_LOSSES, LOSS_ARGUMENTS))
def test_stage_loss(name, arguments):
    for stage in LOSS_STAGES.get(name, ['coarse', 'refined']):
        check_loss(dict(type=name, stage=stage, **arguments))


@pytest.mark.parametrize('name, arguments', cases(PROMPT_GENERATORS, PROMPT_GENERATOR_ARGUMENTS))
def test_autocast_changes_no_prompt(name, arguments):
    generator = PROMPT_GENERATORS.build(dict(type=name, **arguments)).eval()
    coarse, images = SegOutput(ellipse_logits(2, 2)), random_images([(40, 56)] * 2)
    exact = generator(coarse, images)
    with torch.autocast('cpu', torch.bfloat16):
        prompts = generator(coarse, images)
    for kind in exact.kinds:
        torch.testing.assert_close(getattr(prompts, kind), getattr(exact, kind), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize('name, arguments', cases(STAGE_LOSSES, LOSS_ARGUMENTS))
def test_autocast_changes_no_loss(name, arguments):
    coarse, refined = ellipse_logits(2, 2), ellipse_logits(2, 2, inside=2.0).flip(-1)
    labels = [torch.where(mask.amax(dim=0) > 0, mask.argmax(dim=0) + 1, 0) for mask in coarse]
    quality = torch.full((2, 2), 0.3)
    candidates, candidate_quality = refined[:, :, None].repeat(1, 1, 3, 1, 1), quality[..., None].repeat(1, 1, 3)
    stages = Stages(SegOutput(coarse), None, SegOutput(refined, quality, candidates, candidate_quality))
    loss = STAGE_LOSSES.build(dict(type=name, stage='refined', **arguments))
    exact = loss(stages, StageTarget(labels, num_slots=2))
    with torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(loss(stages, StageTarget(labels, num_slots=2)), exact, atol=0, rtol=1e-6)


@pytest.mark.parametrize('name, arguments', cases(REFINERS, REFINER_ARGUMENTS))
def test_autocast_changes_a_refined_mask_by_rounding_alone(name, arguments):
    torch.manual_seed(0)
    refiner = REFINERS.build(dict(type=name, **arguments)).eval()
    inputs = random_images([(40, 56), (64, 48)]), SegOutput(ellipse_logits(2, 1)), toy_prompts(2, 1, refiner.accepts)
    exact = refiner(*inputs, (32, 40)).logits
    with torch.autocast('cpu', torch.bfloat16):
        logits = refiner(*inputs, (32, 40)).logits
    # A number of bfloat16 has a relative precision of 2**-8; a network rounds some ten times in a row.
    assert (logits - exact).norm() < 16 * 2**-8 * exact.norm()
    trainable = [weight for weight in refiner.parameters() if weight.requires_grad]
    if not trainable:
        return
    gradients = [
        torch.autograd.grad(result.float().square().mean(), trainable, allow_unused=True, retain_graph=True)
        for result in (exact, logits)
    ]
    assert [gradient is None for gradient in gradients[0]] == [gradient is None for gradient in gradients[1]]


@pytest.mark.parametrize(
    'family, arguments',
    [
        (PROMPT_GENERATORS, PROMPT_GENERATOR_ARGUMENTS),
        (OBJECT_SPLITTERS, OBJECT_SPLITTER_ARGUMENTS),
        (GATES, GATE_ARGUMENTS),
        (REFINERS, REFINER_ARGUMENTS),
        (ADAPTERS, ADAPTER_ARGUMENTS),
        (STAGE_LOSSES, LOSS_ARGUMENTS),
    ],
)
def test_no_entry_is_stale(family, arguments):
    assert set(arguments) <= set(family.names())
