"""Makes the example importable, as PYTHONPATH does on the command line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
