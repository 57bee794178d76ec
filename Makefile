# SPDX-License-Identifier: Apache-2.0
# make demo   sets up from nothing and adapts a small model to handwritten digits, on this machine and in QEMU
# make test   sets up from nothing and runs all tests
# make quick  sets up from nothing and runs the tests that need neither an emulator nor TensorFlow, in two minutes
# make lint   sets up from nothing and checks format, lint and types
# PYTHON=...  uses that interpreter; VENV=... puts the virtual environment elsewhere; JOBS=... tests in parallel

VENV ?= .venv
JOBS ?= 2
# Looked for when it is used, that is after the tools have been seen to.
PYTHON ?= $(shell sh .ci/tools python)

# What `make quick` runs beside the tests of tests/quick.txt: one conversion, as a smoke test of everything.
SMOKE = tests/cli/test_commands.py::test_convert_writes_the_report_it_shows

export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?= -1

.PHONY: demo test quick lint format tools-demo tools-test tools-quick tools-lint clean

demo: tools-demo $(VENV)/installed-demo
	$(VENV)/bin/python examples/few_shot_digits/run_demo.py

# Tests of a group share what is expensive to make, so one process runs them.
test: tools-test $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -n $(JOBS) --dist loadgroup

quick: tools-quick $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -n $(JOBS) -m 'not qemu and not slow and not data' @tests/quick.txt $(SMOKE)

lint: tools-lint $(VENV)/installed-lint
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	git ls-files '*.c' '*.h' '*.cc' '*.cpp' | xargs $(VENV)/bin/clang-format --dry-run -Werror
	$(VENV)/bin/mypy

# What `make lint` would have otherwise, as far as a program can write it.
format: tools-lint $(VENV)/installed-lint
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format
	git ls-files '*.c' '*.h' '*.cc' '*.cpp' | xargs $(VENV)/bin/clang-format -i

tools-demo tools-test tools-quick tools-lint: tools-%:
	@sh .ci/tools $*

$(VENV)/installed-%: pyproject.toml setup.py | tools-%
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check -e '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info examples/*/work
