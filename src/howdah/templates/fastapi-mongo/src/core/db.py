"""The database of documents. Opens with the app, and makes their indexes then."""

from howdah.documents import MongoDatabase

from src.core.config import settings
from src.documents.items import Item
from src.documents.users import User

db = MongoDatabase(settings, documents=[User, Item])
