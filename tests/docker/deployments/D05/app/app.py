"""Invoices as PDF, kept in a bucket."""
import http.server
import os
import socket

import boto3

DATABASE_HOST = os.environ["DATABASE_HOST"]
BUCKET = os.environ["INVOICE_BUCKET"]

s3 = boto3.client("s3", region_name=os.environ["INVOICE_REGION"])
# A link that is made now shows that links can be made.
link = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "template.pdf"}, ExpiresIn=60)
print(f"invoices: links to {BUCKET} can be signed", flush=True)
socket.create_connection((DATABASE_HOST, 5432), timeout=6).close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
