"""Which domain does a host name belong to? Answers by the public suffix list, which is fetched when the service starts."""
import logging
import os

import tldextract
from fastapi import FastAPI

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

LIST = os.environ.get("SUFFIX_LIST_URL", "https://publicsuffix.org/list/public_suffix_list.dat")
# Without the snapshot of the package: it is months old.
extract = tldextract.TLDExtract(
    cache_dir=os.environ.get("SUFFIX_CACHE", "/var/cache/suffixes"),
    suffix_list_urls=(LIST,),
    fallback_to_snapshot=False,
    cache_fetch_timeout=8.0,
)
extract.update(fetch_now=True)
logging.info("%s suffixes from %s", len(extract.tlds), LIST)
app = FastAPI(title="Domains")


@app.get("/healthz")
def healthz():
    return {"suffixes": len(extract.tlds)}


@app.get("/domain/{host}")
def domain(host: str):
    found = extract(host)
    return {"subdomain": found.subdomain, "domain": found.domain, "suffix": found.suffix}
