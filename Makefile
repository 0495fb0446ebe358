# Everything runs in .venv, which is made from the locks in envs/.
SNAKEMAKE := .venv/bin/snakemake
CORES ?= $(shell nproc)
RUN ?= dsprites

.PHONY: help setup image demo publish settings test unit lint lock restore clean

help: ## list these commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 12

setup: ## install the locked environment into .venv
	@envs/setup

image: ## build envs/betagvae.sif, the image of --use-singularity
	@envs/build-image

demo: setup ## the whole workflow at small scale: no download, no GPU
	$(SNAKEMAKE) --cores $(CORES) --configfile config/demo.yaml --quiet rules
	@echo "Tables and figures are in results/demo"

publish: setup ## keep the small files of results/RUN in results/published, and show them in the README
	.venv/bin/python workflow/scripts/publish.py $(RUN)

test: setup lint ## all tests
	.venv/bin/pytest

unit: setup ## the tests that take seconds
	.venv/bin/pytest -m "not slow"

lint: setup ## style of the code and of the workflow
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint

settings: setup ## write the tables of settings in config/README.md anew
	.venv/bin/python workflow/scripts/document.py

lock: setup ## lock the dependencies of pyproject.toml anew
	envs/lock --upgrade

restore: setup ## check all files that dvc.lock records, and put back what is damaged or missing
	.venv/bin/python workflow/scripts/restore.py

clean: ## remove the demo's results
	rm -rf results/demo
