# SPDX-License-Identifier: Apache-2.0
"""What `make quick` promises: its tests, but for the smoke test, come to an end without TensorFlow."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = """
import sys, pytest
code = pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", *sys.argv[1:]])
sys.exit(code or ("tensorflow loaded" if "tensorflow" in sys.modules else 0))
"""


def test_quick_tests_are_collected_without_tensorflow() -> None:
    command = [sys.executable, "-c", PROGRAM, "@tests/quick.txt"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
