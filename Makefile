# Two commands do everything on a machine with Python >= 3.11 and make:
#   make demo   train the quick preset of every system, evaluate, write one HTML report
#   make test   the test suite
#   make atari  installs EnvPool (830 MB) for real Atari games; demo and test then include them
#   make metaworld  the same for Meta-World's tasks and their experts, and Minari for data sets
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv
# DEMO=--short makes the few-second version that CI runs.
DEMO ?=
# Tests run in two processes: compiling is what they spend their time on.
TEST ?= -n 2 --dist loadgroup

.PHONY: demo test atari metaworld bench lint format lock clean

demo: $(VENV)/.installed
	$(BIN)/jaxrl demo $(DEMO)

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(TEST)

atari: $(VENV)/.installed
	$(UV) sync --frozen --inexact --quiet --python $(BIN)/python --extra envpool

metaworld: $(VENV)/.installed
	$(UV) sync --frozen --inexact --quiet --python $(BIN)/python --extra metaworld --extra minari

# Alone on the machine; benchmarks/README.md says how to install the peer first.
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/arcade_env.py
	$(BIN)/python benchmarks/impala_train.py
	$(BIN)/python benchmarks/atari_learner.py
	$(BIN)/python benchmarks/atari.py
	$(BIN)/python benchmarks/physics.py
	$(BIN)/python benchmarks/derl.py
	$(BIN)/python benchmarks/harmodt.py
	$(BIN)/python benchmarks/ase.py
	$(BIN)/python benchmarks/lifelike.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.installed
	$(BIN)/uv lock --upgrade

clean:
	rm -rf $(VENV) runs build *.egg-info ~/.cache/jaxrl_suite/tests

# The locked versions. rlax, the oracle of some tests, needs a nightly build of another package:
# should that one be gone, the tests that want it skip and say so.
$(VENV)/.installed: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than Python 3.11; try: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
	$(UV) sync --frozen --inexact --quiet --python $(BIN)/python --extra dev --extra oracle || \
	  $(UV) sync --frozen --inexact --quiet --python $(BIN)/python --extra dev
	@touch $@
