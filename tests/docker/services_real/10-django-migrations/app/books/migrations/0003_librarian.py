import os

from django.contrib.auth.hashers import make_password
from django.db import migrations


def make(apps, schema_editor):
    user = apps.get_model("auth", "User")
    user.objects.create(
        username="librarian",
        password=make_password(os.environ["LIBRARIAN_PASSWORD"]),
        is_staff=True,
        is_superuser=True,
    )


class Migration(migrations.Migration):
    dependencies = [("books", "0002_year_and_first_books"), ("auth", "0012_alter_user_first_name_max_length")]
    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
