"""A program of Spring Boot: server.port is 9090, and only /ping is open to everybody."""
import http.server
import os
import socketserver
import time

PORT = 9090


def log(where, text):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    print(f"{stamp}  INFO 1 --- [           main] {where:<40} : {text}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/ping" else 401)
        self.end_headers()
        self.wfile.write(b"pong" if self.path == "/ping" else b"")

    def log_message(self, *_):
        pass


profile = os.environ.get("SPRING_PROFILES_ACTIVE", "default")
log("c.example.billing.BillingApplication", f'The following 1 profile is active: "{profile}"')
server = socketserver.ThreadingTCPServer(("0.0.0.0", PORT), Handler)
log("o.s.b.w.embedded.tomcat.TomcatWebServer", f"Tomcat started on port(s): {PORT} (http) with context path ''")
log("c.example.billing.BillingApplication", "Started BillingApplication in 0.874 seconds (process running for 1.12)")
server.serve_forever()
