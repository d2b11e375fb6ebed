# The method's literal set (section 2). Gradient flows through the points and the mask; the box has none.
prompt_generator = dict(
    type='ComposePrompts',
    generators=[
        dict(type='SoftArgmaxPoint'),
        dict(type='NegativePoint', box=dict(type='ThresholdBox')),
        dict(type='ThresholdBox'),
        dict(type='MaskPrompt'),
    ],
)
