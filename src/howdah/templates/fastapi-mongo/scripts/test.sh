#!/bin/sh
# Run the tests; arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."

exec python -m pytest "$@"
