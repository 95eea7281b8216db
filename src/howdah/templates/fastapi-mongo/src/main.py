"""The application: for `howdah serve`, or `howdah dev` while you work on it."""

from fastapi_offline import FastAPIOffline
from howdah import connect

from src.api.routes import items, users
from src.core.config import settings
from src.core.db import db

# FastAPI whose /docs page brings its own assets and needs no network.
app = FastAPIOffline(
    title=settings.project_name,
    version=settings.version,
    description=settings.description,
)
connect(app, db)
app.include_router(users.router)
app.include_router(items.router)
