"""Starts as OpenSearch does, which refuses to be root."""
import http.server
import os
import socketserver
import sys
import time


def log(level, where, text):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S,000")
    print(f"[{stamp}][{level:<5}][{where:<24}] [opensearch-1] {text}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


log("INFO", "o.o.n.Node", "version[2.11.1], pid[1], build[tar/6b1986e964d440be9137eba1413015c31c5a7752]")
log("INFO", "o.o.n.Node", "JVM arguments [" + os.environ.get("OPENSEARCH_JAVA_OPTS", "").replace(" ", ", ") + "]")
if os.getuid() == 0:
    log("ERROR", "o.o.b.OpenSearchUncaughtExceptionHandler", "uncaught exception in thread [main]")
    sys.stderr.write(
        "org.opensearch.bootstrap.StartupException: java.lang.RuntimeException: can not run opensearch as root\n"
        "\tat org.opensearch.bootstrap.OpenSearch.init(OpenSearch.java:184) ~[opensearch-2.11.1.jar:2.11.1]\n"
        "\tat org.opensearch.bootstrap.OpenSearch.main(OpenSearch.java:104) ~[opensearch-2.11.1.jar:2.11.1]\n"
        "Caused by: java.lang.RuntimeException: can not run opensearch as root\n"
        "\tat org.opensearch.bootstrap.Bootstrap.initializeNatives(Bootstrap.java:125) ~[opensearch-2.11.1.jar]\n"
        "\t... 6 more\n"
    )
    sys.exit(1)
server = socketserver.ThreadingTCPServer(("0.0.0.0", 9200), Handler)
log("INFO", "o.o.h.AbstractHttpServerTransport", "publish_address {0.0.0.0:9200}, bound_addresses {0.0.0.0:9200}")
log("INFO", "o.o.n.Node", "started")
server.serve_forever()
