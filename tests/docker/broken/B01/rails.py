"""Starts as `bin/rails server` of Rails 6.1 does: the banner, the pid file, then the port."""
import http.server
import os
import socketserver
import sys

PIDFILE = "/app/tmp/pids/server.pid"


def running():
    try:
        with open(PIDFILE, encoding="utf-8") as file:
            os.kill(int(file.read()), 0)
    except PermissionError:
        return True
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return False
    return True


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/up" else 404)
        self.end_headers()

    def log_message(self, *_):
        print(f'Started GET "{self.path}" for {self.client_address[0]}', flush=True)


print("=> Booting Puma")
print(f"=> Rails 6.1.7.8 application starting in {os.environ.get('RAILS_ENV', 'development')} ")
print("=> Run `bin/rails server --help` for more startup options", flush=True)
if running():
    print(f"A server is already running. Check {PIDFILE}.\nExiting", flush=True)
    sys.exit(1)
os.makedirs(os.path.dirname(PIDFILE), exist_ok=True)
with open(PIDFILE, "w", encoding="utf-8") as file:
    file.write(str(os.getpid()))
port = int(os.environ.get("PORT", "3000"))
server = socketserver.ThreadingTCPServer(("0.0.0.0", port), Handler)
print("Puma starting in single mode...")
print('* Puma version: 5.6.8 (ruby 3.0.6-p216) ("Birdie\'s Version")')
print("*  Min threads: 5\n*  Max threads: 5\n*  Environment: production")
print(f"* Listening on http://0.0.0.0:{port}\nUse Ctrl-C to stop", flush=True)
server.serve_forever()
