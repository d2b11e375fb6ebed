prompt_generator = dict(type='MaskPrompt')
