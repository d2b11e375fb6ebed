"""A page about a run: what `tools/analysis_tools/report.py` is made of."""
