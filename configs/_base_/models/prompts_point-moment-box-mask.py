# Differentiable throughout, and robust to a background probability.
prompt_generator = dict(
    type='ComposePrompts',
    generators=[dict(type='SoftArgmaxPoint', power=2.0), dict(type='MomentBox'), dict(type='MaskPrompt')],
)
