"""Typed families: base classes are checked, and an unknown name explains itself."""

import pytest
from mmengine.registry import DefaultScope

from ultrarefiner.interfaces import BasePromptGenerator
from ultrarefiner.registry import CANDIDATE_SELECTIONS, MODELS, PROMPT_GENERATORS, REFINERS, STAGE_LOSSES


def test_an_unknown_name_gets_the_nearest_one_and_the_remedy():
    with pytest.raises(KeyError) as error:
        PROMPT_GENERATORS.build(dict(type='MomentBocks'))
    message = error.value.args[0]
    assert "Did you mean 'MomentBox'?" in message and 'custom_imports' in message


def test_a_member_of_another_family_is_refused():
    with pytest.raises(KeyError, match='SAMRefiner does not derive from BasePromptGenerator'):
        PROMPT_GENERATORS.build(dict(type='SAMRefiner'))


def test_a_wrong_argument_names_the_component():
    with pytest.raises(TypeError, match="while building prompt generator 'MomentBox' .*unexpected keyword"):
        PROMPT_GENERATORS.build(dict(type='MomentBox', kk=2))


def test_a_class_without_the_base_is_refused():
    with pytest.raises(TypeError, match='not a subclass of'):
        REFINERS.register_module(int)


def test_a_built_object_is_returned():
    box = PROMPT_GENERATORS.build(dict(type='MomentBox'))
    assert PROMPT_GENERATORS.build(box) is box and isinstance(box, BasePromptGenerator)


def test_no_name_of_ours_shadows_one_of_mmseg_or_mmengine():
    for family in (PROMPT_GENERATORS, REFINERS, STAGE_LOSSES, CANDIDATE_SELECTIONS):
        assert family.names()
    parent, taken = MODELS.parent, set()
    while parent is not None:
        taken |= set(parent.module_dict)
        parent = parent.parent
    assert not set(MODELS.module_dict) & taken


def test_types_resolve_across_scopes():
    ours, theirs = MODELS.get('TransUNetBackbone'), MODELS.get('mmseg.UNet')
    assert MODELS.get('UNet') is theirs
    assert MODELS.parent.get('ultrarefiner.TransUNetBackbone') is ours


def test_a_config_of_mmseg_takes_our_parts():
    with DefaultScope.overwrite_default_scope('mmseg'):
        box = MODELS.parent.build(dict(type='ultrarefiner.MomentBox'))
    assert box.produces == {'boxes'}
