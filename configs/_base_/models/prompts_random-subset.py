# The robust set for a refiner that works with any of its kinds: in training a random subset of them, points that are
# left out now and then, and a shaken box; in evaluation all of it as it is.
prompt_generator = dict(
    type='RandomPromptSubset',
    generator=dict(
        type='ComposePrompts',
        generators=[
            dict(
                type='PointDropout',
                generator=dict(
                    type='ComposePrompts', generators=[dict(type='DistanceCentrePoint'), dict(type='OutsidePoint')]
                ),
            ),
            dict(type='JitterBox', box=dict(type='StraightThroughBox')),
            dict(type='LogitMaskPrompt'),
        ],
    ),
)
