"""Starts as `celery beat` does: the pid file first. Behind it is a second fault, in about every other run."""
import http.server
import os
import socketserver
import sys

PIDFILE = "/app/run/celerybeat.pid"


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


try:
    with open(PIDFILE, encoding="utf-8") as file:
        pid = int(file.read())
except (FileNotFoundError, ValueError):
    pid = None
if pid and alive(pid):
    sys.stderr.write(f"ERROR: Pidfile ({PIDFILE}) already exists.\nSeems we're already running? (pid: {pid})\n")
    sys.exit(73)
with open(PIDFILE, "w", encoding="utf-8") as file:
    file.write(f"{os.getpid()}\n")
print("celery beat v5.3.6 (emerald-rush) is starting.", flush=True)
if os.urandom(1)[0] < 128:
    sys.stderr.write(
        "[CRITICAL/MainProcess] beat raised exception <class '_gdbm.error'>: "
        "error(11, 'Resource temporarily unavailable')\n"
    )
    sys.exit(1)
print("[INFO/MainProcess] beat: Starting...", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
