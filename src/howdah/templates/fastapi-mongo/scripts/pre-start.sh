#!/bin/sh
# Everything that has to be true before the application starts. It makes its indexes
# itself, and there is nothing to migrate.
set -eu
cd "$(dirname "$0")/.."

exec python -m src.utils.init_data
