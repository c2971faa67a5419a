# flight-etl: everything a newcomer needs is `make demo` and `make test`; both do all the set-up.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
JOBS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-long coverage test-all test-ceph test-spark test-traffic samples lint format docs bench bench-all fuzz lock clean

help:  ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): requirements/dev.txt pyproject.toml $(wildcard setup.py src/flight_etl/core/*.p[yx][xdi] src/flight_etl/core/*/*.p[yx][xdi])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@rm -f src/flight_etl/core/*.so src/flight_etl/core/*/*.so  # a build under another name would be found first
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(READY)  ## generate flights, run the main job on them, and look at the result
	@mkdir -p demo/recordings
	$(BIN)/flight-etl generate 100000 --layout readsb --complexity complex -o demo/recordings/receiver.json.gz
	$(BIN)/flight-etl generate 100000 --layout opensky --complexity complex -o demo/recordings/states.ndjson
	$(BIN)/flight-etl run demo/recordings --output demo/flights --overwrite
	@$(BIN)/python benchmarks/demo.py demo/flights

# With COVERAGE=1 both parts add to one account of what of core/ was run, which `make coverage` judges.
COVER = $(if $(COVERAGE),--cov=flight_etl.core --cov-branch --cov-report= $(1))

test: $(READY)  ## run the tests, without those that take long
	$(BIN)/python -m pytest -n $(JOBS) -m "not kill and not slow and not ceph and not spark" $(call COVER,)

test-long: $(READY)  ## run the tests that kill processes, build packages or take long for other reasons
	$(BIN)/python -m pytest -n $(JOBS) -m "(kill or slow) and not ceph and not spark" $(call COVER,--cov-append)

# Without a compiler the files round the fast decoder cannot be run, and core/ is covered by as much less.
LEAST := from flight_etl.core.decode import decoder_name; print(95 if decoder_name() == "fast" else 80)

coverage:  # of the parts that were run with COVERAGE=1
	$(BIN)/coverage report --fail-under=$$($(BIN)/python -c '$(LEAST)')

test-all:  ## run all tests but those of test-ceph and test-spark, with coverage of core
	$(MAKE) test COVERAGE=1
	$(MAKE) test-long COVERAGE=1
	$(MAKE) coverage

test-ceph: $(READY)  ## run the tests against a real object store, Ceph, which Debian's packages bring
	sh tests/install-ceph.sh
	CEPH=required $(BIN)/python -m pytest -m ceph

# Some 500 MB, and so neither part of `make test` nor of requirements/dev.txt.
test-spark: $(READY)  ## run the tests on Spark, which this installs, and Java 17 where there is none
	command -v java > /dev/null || { apt-get update && apt-get install --yes --no-install-recommends openjdk-17-jre-headless; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/spark.txt
	$(BIN)/python -m pytest -m spark tests/agree

# Some 1.1 GB in an environment of its own, since traffic wants pandas 2. It brings LGPL parts: nothing of ours depends on it.
test-traffic:  ## read an output with the library traffic, which this installs into .venv-traffic
	$(PYTHON) -m venv .venv-traffic
	.venv-traffic/bin/python -m pip install --quiet --disable-pip-version-check 'traffic==2.13' 'pandas<3' pytest hypothesis .
	.venv-traffic/bin/python -m pytest -m traffic tests/test_traffic.py

lint: $(READY)  ## check style, types and generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m flight_etl.docs --check

format: $(READY)  ## put all files into the common form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)  ## write the generated pages anew
	$(BIN)/python -m flight_etl.docs

bench: $(READY)  ## measure beside other tools and limits at 1 M rows, and write a dated record to benchmarks/records
	$(BIN)/flight-etl bench --peers --rows 1M --save benchmarks/records --name "$$(date -u +%F)-peers"

bench-all: $(READY)  ## measure at 1 and 5 M rows, and scaling up to 20 M: half an hour, 10 GB of disk, on a quiet machine
	$(BIN)/flight-etl bench --peers --rows 1M,5M --rounds 2 --save benchmarks/records --name "$$(date -u +%F)-peers"
	$(BIN)/flight-etl bench --scaling only --workers 1,2 --rounds 2 --save benchmarks/records --name "$$(date -u +%F)-scaling"
	$(BIN)/python benchmarks/startup.py 15 > "benchmarks/records/$$(date -u +%F)-startup.md"

fuzz: $(READY)  ## fuzz the decoder for ten minutes, guided by coverage, under sanitizers (needs gcc)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check Cython setuptools
	$(BIN)/python tests/fuzz/decoder.py 600

lock: $(READY)  ## choose the newest permitted versions for development
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --no-strip-extras --generate-hashes --no-header --no-annotate --python-version 3.11 --upgrade \
		pyproject.toml --extra dev -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --no-strip-extras --generate-hashes --no-header --no-annotate --python-version 3.11 --upgrade \
		pyproject.toml --extra spark -c requirements/dev.txt -o requirements/spark.txt

clean:  ## remove all that can be made again
	rm -rf $(VENV) .venv-traffic build dist demo htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache src/*.egg-info
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
