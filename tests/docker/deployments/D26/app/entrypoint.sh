#!/bin/sh
set -e
: "${CATALOG_HOST:?is not set}"
exec "$@"
