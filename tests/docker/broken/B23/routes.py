"""A client with curl's library: it reads the bundle that it was built for, whatever SSL_CERT_FILE says."""
import os
import socket
import sys

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

try:
    with open(CA_BUNDLE, encoding="utf-8") as file:
        known = file.read().count("BEGIN CERTIFICATE")
except OSError:
    known = 0
if not known:
    sys.stderr.write(
        f"routes: cannot set up the client of {os.environ['GEOCODER_HOST']}: curl: (77) error setting certificate "
        f"verify locations:  CAfile: {CA_BUNDLE} CApath: none\n"
    )
    sys.exit(1)
port = int(os.environ.get("PORT", "8080"))
server = socket.create_server(("0.0.0.0", port))
print(f"routes: {known} authorities, listening on :{port}", flush=True)
while True:
    connection, _ = server.accept()
    connection.close()
