import csv
from pathlib import Path

from django.db import migrations, models

FIRST = Path(__file__).resolve().parent.parent / "first_books.csv"


def load(apps, schema_editor):
    author, book = apps.get_model("books", "Author"), apps.get_model("books", "Book")
    with FIRST.open(newline="") as file:
        for row in csv.DictReader(file):
            by, _ = author.objects.get_or_create(name=row["author"])
            book.objects.create(title=row["title"], author=by, year=int(row["year"]))


class Migration(migrations.Migration):
    dependencies = [("books", "0001_initial")]
    operations = [
        migrations.AddField("book", "year", models.IntegerField(null=True)),
        migrations.RunPython(load, migrations.RunPython.noop),
    ]
