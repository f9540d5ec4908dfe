"""Connects as services do at startup, with a real client of one protocol, then serves.

CLIENT names the protocol. With ASK, the client also sends its first command beyond the login.
"""

import http.server
import os

HOST = os.environ["SERVER"]


def postgresql():
    import psycopg

    connection = psycopg.connect(f"postgresql://app:secret@{HOST}:5432/app", connect_timeout=5)
    return lambda: connection.execute("SELECT version()")


def mysql():
    import pymysql

    connection = pymysql.connect(host=HOST, user="app", password="secret", database="app")
    connection.ping()
    return lambda: connection.cursor().execute("SELECT VERSION()")


def redis():
    import redis

    client = redis.Redis.from_url(f"redis://:secret@{HOST}:6379/0")
    client.ping()
    return lambda: client.get("greeting")


def mongodb():
    import pymongo

    client = pymongo.MongoClient(f"mongodb://{HOST}:27017/app", serverSelectionTimeoutMS=5000)
    client.admin.command("ping")
    return lambda: client.app.greetings.find_one()


def amqp():
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(f"amqp://app:secret@{HOST}:5672/%2F"))
    channel = connection.channel()
    return lambda: channel.queue_declare("greetings")


def smtp():
    import smtplib

    client = smtplib.SMTP(HOST, 587, timeout=5)
    client.starttls()
    client.login("app", "secret")
    return lambda: client.sendmail("a@example.com", ["b@example.com"], "hello")


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


ask = {f.__name__: f for f in (postgresql, mysql, redis, mongodb, amqp, smtp)}[os.environ["CLIENT"]]()
print("connected", flush=True)
if "ASK" in os.environ:
    ask()
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Page).serve_forever()
