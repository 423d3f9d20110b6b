# Two commands do all the set-up: `make demo` and `make test`. Each creates .venv when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One worker per core; whoever has done all its tests takes some of another's. `make test PYTEST_ARGS=-n0` runs without workers.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
READY := $(VENV)/.ready
OUT ?= out/demo

.PHONY: demo test check lint bench gpu-check docs lock readers clean

demo: $(READY)
	$(BIN)/lungtwin build demo --out $(OUT)

test: $(READY)
	$(PYTEST) -m "not slow and not gpu" $(PYTEST_ARGS)

check: $(READY) lint $(VENV)/.ready-torch
	$(PYTEST) -m "not gpu" $(PYTEST_ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Beside itk-rtk and XCIST (in .peers, made when missing), written to docs/performance.md: `make bench` (quick rows, under
# 12 minutes), `make bench BENCH=all`, `make bench BENCH=project_v512,fdk_v512 BENCH_ARGS=--resume`; see benchmarks/__main__.py.
bench: $(READY)
	$(BIN)/python -m benchmarks $(or $(BENCH),quick) $(BENCH_ARGS)

# Runs on a bare GPU machine too: system Python with numpy, scipy, numba, cupy, h5py and pytest, nothing else, no network.
gpu-check:
	$(if $(wildcard $(READY)),$(BIN)/python,$(PYTHON)) scripts/gpu_check.py

docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	$(BIN)/mkdocs build --strict --site-dir out/site

# Writes constraints.txt anew from the newest versions that fit pyproject.toml.
lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-lock/bin/python -m pip install --quiet -e ".[dev,docs]"
	(echo "# Exact versions that were tested together; written by 'make lock'."; \
	 $(VENV)-lock/bin/python -m pip freeze --exclude-editable --exclude lungtwin) > constraints.txt
	rm -rf $(VENV)-lock

# Heavy foreign readers for tests of exports (about 3 GB; PyTorch for the CPU where the index has it): `make check` uses them.
readers:
	test -x .readers/bin/python || $(PYTHON) -m venv .readers
	.readers/bin/python -m pip install --quiet torch monai nnunetv2 nibabel SimpleITK datasets ome-zarr mlcroissant

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else "lungtwin needs Python >= 3.11, %s is %d.%d; try: make PYTHON=python3.12 $(MAKECMDGOALS)" % (sys.executable, *v))'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Could not make a virtual environment; on Debian: apt install python3-venv"; exit 1; }
	@echo "Installing lungtwin into $(VENV) (once; about a minute)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@

# The transforms for MONAI and TorchIO are tested with a CPU build of PyTorch; the one of PyPI, which brings 3 GB of CUDA
# along, only where there is no other. Another one: `make check TORCH=torch==2.13.0`.
TORCH ?= torch
$(VENV)/.ready-torch: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 0 --timeout 20 -c constraints.txt \
	  --index-url https://download.pytorch.org/whl/cpu $(TORCH) || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[monai,torchio]"
	@touch $@

$(VENV)/.ready-dev: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) .peers out dist build
