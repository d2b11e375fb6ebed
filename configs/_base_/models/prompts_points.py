# Points alone: four spread over the mask, and one outside of it.
prompt_generator = dict(type='ComposePrompts', generators=[dict(type='GridPoints'), dict(type='OutsidePoint')])
