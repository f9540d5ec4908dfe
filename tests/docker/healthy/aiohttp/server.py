import os

from aiohttp import web


async def healthz(request):
    return web.json_response({"ok": True})


app = web.Application()
app.add_routes([web.get("/healthz", healthz)])
web.run_app(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
