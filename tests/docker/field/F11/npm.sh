#!/bin/sh
# The part of npm that counts here: `npm run NAME ARGS…` and `npm start` hand ARGS on to the script.
[ "$1" = run ] && shift
name=$1
shift
case $name in
  migrate) exec node /app/migrate.js "$@" ;;
  start) exec node /app/server.js "$@" ;;
  *) echo "npm ERR! Missing script: \"$name\"" >&2; exit 1 ;;
esac
