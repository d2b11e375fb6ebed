"""The sections of tools/analysis_tools/benchmark.py, one file each, and what they share."""
