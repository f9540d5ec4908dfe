"""Boots as a Symfony kernel does: its cache folder is made, and then warmed up."""
import http.server
import os
import socketserver
import sys

KERNEL = "Symfony\\Component\\HttpKernel\\Kernel"
environment = os.environ.get("APP_ENV", "dev")
folder = f"/app/var/cache/{environment}"


def fatal(verb):
    text = f'Unable to {verb} the "cache" directory ({folder}).'
    sys.stderr.write(
        f"PHP Fatal error:  Uncaught RuntimeException: {text} in /app/vendor/symfony/http-kernel/Kernel.php:677\n"
        "Stack trace:\n"
        f"#0 /app/vendor/symfony/http-kernel/Kernel.php(545): {KERNEL}->buildContainer()\n"
        f"#1 /app/vendor/symfony/http-kernel/Kernel.php(789): {KERNEL}->initializeContainer()\n"
        f"#2 /app/public/index.php(23): {KERNEL}->handle()\n"
        "#3 {main}\n"
        "  thrown in /app/vendor/symfony/http-kernel/Kernel.php on line 677\n"
    )
    sys.exit(255)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


try:
    os.makedirs(folder, exist_ok=True)
except OSError:
    fatal("create")
if not os.access(folder, os.W_OK):
    fatal("write in")
with open(f"{folder}/App_KernelProdContainer.php", "w", encoding="utf-8") as file:
    file.write("<?php\n")
print(f"[OK] Cache for the \"{environment}\" environment (debug=false) was successfully warmed.", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
