# SPDX-License-Identifier: Apache-2.0
# make demo   sets up from nothing and adapts a small model to handwritten digits, on this machine and in QEMU
# make test   sets up from nothing and runs all tests
# PYTHON=...  uses that interpreter; VENV=... puts the virtual environment elsewhere; JOBS=... tests in parallel

VENV ?= .venv
JOBS ?= 2
# Looked for when it is used, that is after the tools have been seen to.
PYTHON ?= $(shell sh .ci/tools python)

export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?= -1

.PHONY: demo test tools-demo tools-test clean

demo: tools-demo $(VENV)/installed-demo
	$(VENV)/bin/python examples/few_shot_digits/run_demo.py

test: tools-test $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -n $(JOBS)

tools-demo tools-test: tools-%:
	@sh .ci/tools $*

$(VENV)/installed-%: pyproject.toml setup.py | tools-%
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check -e '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info examples/*/work
