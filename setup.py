# SPDX-License-Identifier: Apache-2.0
"""Package list. Metadata stands in pyproject.toml.

ops/ stays at the top of the repository, where C people look for it, and is installed as tt_tflm/ops: a package
called `ops` in a user's site-packages would be a trap.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tt_tflm*", "tvm_passes*"]), "tt_tflm.ops"],
    package_dir={"tt_tflm.ops": "ops"},
    package_data={
        "tt_tflm": ["**/*"],
        "tt_tflm.ops": ["**/*"],
        "tvm_passes": ["**/*"],
    },
    exclude_package_data={"": ["**/__pycache__/*", "*.pyc"]},
)
