#!/bin/sh
node /app/health.js &
exec node /app/web.js
