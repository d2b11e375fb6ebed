"""Trained models in formats for other programs, one file a format."""

from .exported_program import write_exported_program
from .model_card import model_card
from .onnx_folder import write_onnx
from .sam_file import predictor_arguments, write_sam

__all__ = ['model_card', 'predictor_arguments', 'write_exported_program', 'write_onnx', 'write_sam']
