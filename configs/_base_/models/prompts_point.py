prompt_generator = dict(type='SoftArgmaxPoint', power=2.0)
