.PHONY: check fix test test-slow test-gpu map

check: ## what .ci/run runs, in the environment at hand
	ruff check .
	ruff format --check .
	lint-imports
	pyright
	pytest

fix: ## what can be mended without thinking
	ruff check --fix .
	ruff format .

test:
	pytest

test-slow:
	pytest -m slow

test-gpu:
	pytest -m gpu

map: ## the file map of ARCHITECTURE.md
	python -m tools.file_map
