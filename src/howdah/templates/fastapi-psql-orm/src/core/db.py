"""The database: pools, sessions and a log of slow queries. Opens with the app."""

from howdah import Database
from howdah.telemetry import SlowQueryLog

from src.core.config import settings

db = Database(settings)
db.listen(SlowQueryLog(threshold=1.0))
