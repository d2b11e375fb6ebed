# Each kind in its most robust form: points verified inside and outside of the mask, the tight box with the gradient of
# the moments, and the true logits. A background probability of 0.01 moves no coordinate.
prompt_generator = dict(
    type='ComposePrompts',
    generators=[
        dict(type='DistanceCentrePoint'),
        dict(type='OutsidePoint'),
        dict(type='StraightThroughBox'),
        dict(type='LogitMaskPrompt'),
    ],
)
