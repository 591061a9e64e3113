# `make demo` and `make test` set everything up that they need, in .venv beside this file.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := runs/demo
IMAGES := operator controller child
# Tracing is off by default, and 5 MB beside 6 GB: images of what can trace have it.
EXTRAS = --extra $$image $$(test $$image = operator || echo --extra tracing)
COMPILE := PATH="$$PATH:$(BIN)" uv pip compile -q pyproject.toml --no-emit-index-url --no-header --no-annotate \
    --python-version 3.11

.DEFAULT_GOAL := help

.PHONY: help
help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): requirements/dev.txt pyproject.toml tools/setup
	tools/setup $(VENV)
	@touch $@

.PHONY: setup
setup: $(READY)  ## Make the Python environment in .venv (5 GB: PyTorch with its CUDA libraries)

.PHONY: demo
demo: $(READY)  ## Search for a network that reads handwritten digits, then train the best one: a few minutes on 2 cores
	@rm -rf $(DEMO)
	@echo "==> 1/5 Searching: a recurrent policy designs networks, workers train them"
	$(BIN)/nas run manifests/samples/digits.yaml --state $(DEMO)
	@echo "==> 2/5 Training the best architecture to the end"
	$(BIN)/nas train best --state $(DEMO)
	@echo "==> 3/5 Drawing the search"
	$(BIN)/nas plot --state $(DEMO) -o $(DEMO)/curve.png
	@echo "==> 4/5 Drawing the best architecture"
	$(BIN)/nas plot --state $(DEMO) --trial best -o $(DEMO)/architecture.png
	@echo "==> 5/5 Writing a report of it all"
	$(BIN)/nas report --state $(DEMO) -o $(DEMO)/report.html
	@echo "==> Done. Look at $(DEMO)/report.html, $(DEMO)/curve.png and $(DEMO)/architecture.png"
	@echo "    Take the network away as readable PyTorch: $(BIN)/nas export best --state $(DEMO) -o my_network"

.PHONY: test
test: $(READY)  ## Run the tests, one process a core
	@echo "==> Testing"
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

.PHONY: e2e
e2e: $(READY)  ## Run the tests on a real Kubernetes, which the first time is built from source (20 minutes)
	$(BIN)/python -m tests.cluster build
	@echo "==> Testing on a control plane"
	OMP_NUM_THREADS=1 $(BIN)/pytest -rs --durations=5 -n 2 --dist loadfile tests/control_plane
	@echo "==> Testing on a cluster with a node (needs root)"
	OMP_NUM_THREADS=1 $(BIN)/pytest -s -v -rs --durations=10 --timeout=3000 tests/e2e

.PHONY: cluster-up
cluster-up: $(READY)  ## Start a Kubernetes for tests, which `make e2e` then uses and keeps
	$(BIN)/python -m tests.cluster up

.PHONY: cluster-down
cluster-down: $(READY)  ## End it
	$(BIN)/python -m tests.cluster down

.PHONY: lint
lint: $(READY)  ## Check format, style, types, layers, and that generated files are up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy api controller_image child_image operator cli benchmarks tools/chart.py tools/dashboards tools/images helm/nas-operator/files tests/cluster tests/monitoring tests/control_plane tests/e2e
	$(BIN)/lint-imports
	$(BIN)/python -m nas_operator.crd --check -o manifests/crds
	$(BIN)/python -m nas_api.reference --check -o docs/reference
	$(BIN)/python -m tools.dashboards --check
	$(BIN)/python tools/chart.py --check
	@for image in $(IMAGES); do \
	    { $(COMPILE) --offline $(EXTRAS) -c requirements/dev.txt 2>/dev/null || \
	      $(COMPILE) $(EXTRAS) -c requirements/dev.txt; } | diff - requirements/$$image.txt || \
	    { echo "requirements/$$image.txt is not what pyproject.toml and requirements/dev.txt say: run make lock-images"; exit 1; }; \
	done

.PHONY: format
format: $(READY)  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: proto
proto: $(READY)  ## Generate the gRPC code from api/nas_api/rpc/trials.proto
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iapi --python_out=api --grpc_python_out=api \
	    --mypy_out=quiet:api --mypy_grpc_out=quiet:api api/nas_api/rpc/trials.proto

.PHONY: crds
crds: $(READY)  ## Generate manifests/crds from the models
	$(BIN)/python -m nas_operator.crd -o manifests/crds

.PHONY: manifests
manifests: crds  ## Generate the chart's CRDs, dashboards and README, and manifests/install.yaml (with HELM, or helm on the PATH)
	$(BIN)/python -m tools.dashboards
	$(BIN)/python tools/chart.py

.PHONY: reference
reference: $(READY)  ## Generate docs/reference from the models
	$(BIN)/python -m nas_api.reference -o docs/reference

.PHONY: lock
lock: $(READY)  ## Pin the newest versions that pyproject.toml allows in requirements/
	$(COMPILE) --upgrade --all-extras -o requirements/dev.txt
	$(MAKE) lock-images

.PHONY: lock-images
lock-images: $(READY)  ## Pin what each image needs, at the versions of requirements/dev.txt
	for image in $(IMAGES); do $(COMPILE) $(EXTRAS) -c requirements/dev.txt -o requirements/$$image.txt || exit; done

.PHONY: images
images:  ## Build the container images (BUILD="--base local" where no registry can be reached; tools/build-images --help)
	tools/build-images $(BUILD)

.PHONY: clean
clean:  ## Remove the environment and what runs have left
	rm -rf $(VENV) runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
