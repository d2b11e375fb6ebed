prompt_generator = dict(type='MomentBox')
