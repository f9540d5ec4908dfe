"""Short links: HTTPS alone."""
import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Mount, Route

LINKS = {"docs": "https://docs.example.com/start", "jobs": "https://example.com/jobs"}
HOSTS = os.environ.get("TRUSTED_HOSTS", "go.example.com").split(",")


async def health(request):
    return PlainTextResponse("ok")


async def follow(request):
    name = request.path_params["name"]
    if name not in LINKS:
        return JSONResponse({"error": f"no link {name}"}, status_code=404)
    return RedirectResponse(LINKS[name])


# Everything is for the trusted hosts, and over HTTPS.
app = Starlette(
    routes=[Route("/health", health), Route("/{name}", follow)],
    middleware=[
        Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        Middleware(HTTPSRedirectMiddleware),
    ],
)

# The same, but for the health check, which speaks plain HTTP to an address.
checked = Starlette(routes=[Route("/health", health), Mount("/", app)])
