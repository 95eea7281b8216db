"""PostgreSQL tables behind FastAPI."""
