from fastapi import APIRouter, FastAPI

# Its pages of documentation are switched off in production.
app = FastAPI(title="parcels", docs_url=None, redoc_url=None, openapi_url=None)
api = APIRouter(prefix="/api")


@api.get("/health")
def health():
    return {"status": "ok"}


@api.get("/parcels/{number}")
def parcel(number: int):
    return {"number": number, "state": "on its way"}


app.include_router(api)
