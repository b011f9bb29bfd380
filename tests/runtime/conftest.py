import sys
from pathlib import Path

# The toy system is a module beside the tests, and a script.
sys.path.insert(0, str(Path(__file__).parent))
