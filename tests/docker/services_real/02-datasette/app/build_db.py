"""Makes the SQLite database of stations.csv."""
import csv
import sqlite3
import sys

path = sys.argv[1]
db = sqlite3.connect(path)
db.execute("DROP TABLE IF EXISTS stations")
db.execute("CREATE TABLE stations (code TEXT PRIMARY KEY, name TEXT, country TEXT, height INTEGER)")
with open("/app/stations.csv", newline="") as file:
    rows = [(r["code"], r["name"], r["country"], int(r["height"])) for r in csv.DictReader(file)]
db.executemany("INSERT INTO stations VALUES (?, ?, ?, ?)", rows)
db.commit()
print(f"{len(rows)} stations in {path}", flush=True)
