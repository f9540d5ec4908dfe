import os

from flask_cors import CORS

import server

CORS(server.app, origins=os.environ["CORS_ORIGINS"].split(","))
server.run(int(os.environ.get("PORT", "8080")))
