import os

DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ.get("DB_HOST", "localhost"),
    "PORT": int(os.environ.get("DB_PORT", "5432")),
}
