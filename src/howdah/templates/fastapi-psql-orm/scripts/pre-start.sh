#!/bin/sh
# Everything that has to be true before the application starts.
set -eu
cd "$(dirname "$0")/.."

python -m src.utils.backend_pre_start
# Replicas that start together take turns here.
alembic upgrade head
python -m src.utils.init_data
