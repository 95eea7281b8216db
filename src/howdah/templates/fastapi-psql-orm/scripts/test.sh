#!/bin/sh
# Run the tests on a real PostgreSQL; arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."

python -m src.utils.tests_pre_start
exec python -m pytest "$@"
