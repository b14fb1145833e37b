# One command for each thing a learner, an author or the CI does. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?=
LESSON ?=
RUN ?=
NAME ?=
WEIGHTS ?=
LAB ?=
APP ?=
# Of the command line alone: MODE is too common a name to be taken from the environment.
MODE :=
ifneq ($(filter-out smoke fast full,$(MODE)),)
$(error MODE must be smoke, fast or full. Received: $(MODE))
endif
SUPPORTED := 3.11 3.12 3.13
BIN := .venv/bin
STAMP := .venv/.installed

# Prints the first interpreter that runs, is supported and can make an environment; a name on PATH may do none of them.
define find_python
	seen=; found=; \
	for name in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3); do \
	  version=$$("$$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	  case " $(SUPPORTED) " in *" $$version "*) ;; *) seen="$$seen $$name is $$version;"; continue;; esac; \
	  "$$name" -c 'import ensurepip, venv' 2>/dev/null || \
	    { seen="$$seen $$name ($$version) lacks venv (Debian: apt install python3-venv);"; continue; }; \
	  found=$$name; break; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "No usable Python. Found:$${seen:- none that runs}. Allowed: $(SUPPORTED)." >&2; \
	  echo "Install one of these, or name it: make PYTHON=/path/to/python3.12 lab" >&2; \
	  exit 1; \
	fi
endef

# A file of tests, or a lesson, runs whole in one of two processes: its tests share what is slow to make. The files are
# shared out in the order that tests/conftest.py gives them, the lessons in that of their numbers.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

# A cell of lesson 08 takes two hours in full mode.
NBVAL := --nbval --nbval-cell-timeout=14400

# $(call nbval,WORKDIR,NOTEBOOKS): both caches are new and empty, so what the user keeps there is never seen. Figures go
# where the kernel's inline backend puts them, as in JupyterLab.
define nbval
	rm -rf build/test/$(1); mkdir -p build/test/$(1)/keras; \
	env -u MPLBACKEND RESNET_LESSONS_MODE=$(MODE) RESNET_LESSONS_CACHE="$$PWD/build/test/$(1)" \
	  KERAS_HOME="$$PWD/build/test/$(1)/keras" $(BIN)/python -m pytest $(PARALLEL) $(NBVAL) $(2)
endef

.PHONY: help
help:  ## list these targets
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r name text; do \
	  printf '%-12s %s\n' "$$name" "$$text"; done
	@echo "PYTHON=... chooses the interpreter for .venv ($(SUPPORTED)). RESNET_LESSONS_DATA=... points at the data."

.PHONY: python
python:
	@$(find_python); echo "$$found"

# An environment that exists is never rebuilt with another interpreter behind the user's back.
.PHONY: same-python
same-python:
	@$(find_python); code='import sys; print(sys.version.split()[0])'; \
	want=$$("$$found" -c "$$code"); have=$$($(BIN)/python -c "$$code" 2>/dev/null) || exit 0; \
	[ "$$want" = "$$have" ] || { \
	  echo ".venv was made with Python $$have, PYTHON=$(PYTHON) is $$want. Run 'make clean' first." >&2; exit 1; }

# The stamp is written last, so an interrupted installation is taken up again by the next call.
$(STAMP): requirements.lock pyproject.toml $(if $(PYTHON),| same-python)
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  $(find_python); echo "Making .venv with $$found"; "$$found" -m venv --clear .venv; fi
	@echo "Installing what requirements.lock pins: some minutes the first time"
	$(BIN)/python -m pip install --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install
install: $(STAMP)  ## make .venv and install what requirements.lock pins; the others do so by themselves

.PHONY: lab
lab: $(STAMP)  ## open the first lesson in JupyterLab (options: LAB="--no-browser --port 8890")
	$(BIN)/python -m jupyter lab --ServerApp.root_dir="$(CURDIR)" $(LAB) notebooks/00_start_here.ipynb

.PHONY: app
app: $(STAMP)  ## open the explorer as a page of its own (options: APP="--no-browser --port=8866")
	$(BIN)/python notebooks/app.py $(APP)

.PHONY: lint
lint: $(STAMP)  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Before anything runs: a folder that is not there would otherwise be found out minutes later.
.PHONY: data-folder
data-folder:
	@[ -z "$${RESNET_LESSONS_DATA:-}" ] || [ -d "$$RESNET_LESSONS_DATA" ] || { \
	  echo "RESNET_LESSONS_DATA=$$RESNET_LESSONS_DATA is not a folder. Name one that exists, or unset it." >&2; exit 1; }

# Lessons 00 and 01 must hold with no data set at all; with one at hand, every lesson is run on it first. The two are then
# run as make handout writes them: code and outputs are those of the stored lessons, which tests/notebooks shows of all.
.PHONY: test
test: data-folder lint  ## lint, run the tests, then every lesson against its stored outputs (option: MODE=smoke)
	@echo "== tests"
	@rm -f build/test/report.xml
	$(BIN)/python -m pytest $(PARALLEL) --junit-xml build/test/report.xml tests
	@[ "$${RESNET_LESSONS_BROWSER:-}" != required ] || $(BIN)/python tests/require_browser.py build/test/report.xml
ifneq ($(RESNET_LESSONS_DATA),)
	@echo "== all lessons$(if $(MODE), in $(MODE) mode), data from $$RESNET_LESSONS_DATA"
	@cd "$$RESNET_LESSONS_DATA" && export RESNET_LESSONS_DATA="$$PWD" && cd "$(CURDIR)" && \
	  { $(call nbval,with-data,notebooks); }
	@echo "== lessons 00 and 01 as they are handed out, no data set"
	rm -rf build/test/handout
	$(BIN)/python notebooks/handout.py build/test/handout
	@unset RESNET_LESSONS_DATA; $(call nbval,no-data,build/test/handout/notebooks/0[01]_*.ipynb)
else
	@echo "== all lessons$(if $(MODE), in $(MODE) mode), no data set"
	@unset RESNET_LESSONS_DATA; $(call nbval,no-data,notebooks)
endif

.PHONY: test-gpu
test-gpu: $(STAMP)  ## run every lesson on a GPU; fails when none is visible
	$(BIN)/python tests/require_gpu.py
	$(BIN)/python -m pytest $(NBVAL) notebooks

# JAX goes into a folder of its own: learners need it as little as its 90 MB. What else it imports, requirements.lock has.
JAX := 0.10.2

.PHONY: test-jax
test-jax: $(STAMP)  ## run on JAX the tests of what has code of its own for it: fit, gradients, diagnostics
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --upgrade --no-deps --target build/jax \
	  jax==$(JAX) jaxlib==$(JAX)
	PYTHONPATH="$(CURDIR)/build/jax" KERAS_BACKEND=jax \
	  $(BIN)/python -m pytest $(PARALLEL) tests/test_backend.py tests/test_pipelines.py tests/test_diagnostics*.py \
	  tests/test_landscape.py tests/training/test_training_fit.py

.PHONY: kills
kills: $(STAMP)  ## kill training runs 20 times, resume each, compare with one left alone (some minutes)
	$(BIN)/python tests/training/kill_runs.py --kills 20 --inside 5

.PHONY: notebooks
notebooks: $(STAMP)  ## build notebooks/*.ipynb from notebooks/src (one: LESSON=01)
	$(BIN)/python notebooks/build.py $(LESSON)

.PHONY: handout
handout: $(STAMP)  ## write the lessons without their solutions to build/handout
	rm -rf build/handout
	$(BIN)/python notebooks/handout.py build/handout
	@echo "To run them against their stored outputs: $(BIN)/python -m pytest --nbval build/handout"

# The run's folder as resnet-lessons train left it; WEIGHTS=1 ships its weights too, NAME= gives the record another name.
.PHONY: record
record: $(STAMP)  ## take the finished run RUN=runs/x into the package (options: WEIGHTS=1 NAME=y)
	@[ -n "$(RUN)" ] || { echo "Name the run's folder: make record RUN=runs/x" >&2; exit 1; }
	$(BIN)/python tools/records.py keep "$(RUN)" $(if $(WEIGHTS),--weights) $(if $(NAME),--name "$(NAME)")

.PHONY: table
table: $(STAMP)  ## write the README's table of recorded runs
	$(BIN)/python tools/records.py readme

.PHONY: lock
lock: $(STAMP)  ## pin the newest versions that pyproject.toml admits in requirements.lock
	@mkdir -p build
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-annotate --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" pyproject.toml -o build/requirements.lock
	mv build/requirements.lock requirements.lock

.PHONY: clean
clean:  ## remove what make made: .venv, build, caches
	rm -rf .venv build resnet_lessons.egg-info .pytest_cache .ruff_cache .hypothesis
	find resnet_lessons tests notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
