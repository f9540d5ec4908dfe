"""Takes orders over HTTP, and reads what became of them from a queue."""
import json
import logging
import os
import threading
import time

import pika
from flask import Flask, jsonify, request

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("pika").setLevel(logging.ERROR)
log = logging.getLogger("orders")

PARAMETERS = pika.URLParameters(os.environ["AMQP_URL"])
QUEUE = "order-events"
app = Flask(__name__)
events = []


def connect():
    """Waits until there is a broker."""
    while True:
        try:
            log.info("connecting to the broker at %s:%s", PARAMETERS.host, PARAMETERS.port)
            connection = pika.BlockingConnection(PARAMETERS)
            channel = connection.channel()
            channel.queue_declare(QUEUE, durable=True)
            return channel
        except (pika.exceptions.AMQPError, OSError) as error:
            log.warning("no broker yet (%r), trying again in 2 s", error)
            time.sleep(2)


def consume(channel=None):
    channel = channel or connect()
    for _, _, body in channel.consume(QUEUE, auto_ack=True):
        events.append(json.loads(body))


@app.get("/healthz")
def healthz():
    return "ok\n"


@app.get("/events")
def seen():
    return jsonify(events)


@app.post("/orders")
def order():
    channel = connect()
    channel.basic_publish("", "orders", json.dumps(request.get_json()))
    channel.connection.close()
    return "", 202


if os.environ.get("BROKER_CONNECT") == "background":
    threading.Thread(target=consume, daemon=True).start()
else:
    threading.Thread(target=consume, args=(connect(),), daemon=True).start()
