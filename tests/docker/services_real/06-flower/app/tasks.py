import os

from celery import Celery

app = Celery("reports", broker=os.environ.get("BROKER_URL", "redis://queue.internal:6379/0"))
app.conf.broker_connection_timeout = 4


@app.task
def make_report(month):
    return f"report of {month}"
