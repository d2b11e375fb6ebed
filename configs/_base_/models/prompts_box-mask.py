prompt_generator = dict(type='ComposePrompts', generators=[dict(type='MomentBox'), dict(type='MaskPrompt')])
