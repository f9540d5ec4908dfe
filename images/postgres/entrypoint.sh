#!/bin/sh
# Starts PostgreSQL as the official image does in what matters: POSTGRES_USER is the one superuser, POSTGRES_PASSWORD
# is required, POSTGRES_DB is there.
set -eu

PGDATA=${PGDATA:-/var/lib/postgresql/data}
export PGDATA
# Stands where a cluster has been made whose role and database are still to be named.
unnamed=$PGDATA/exitone-unnamed

fail() {
    echo "$0: $1" >&2
    exit 1
}

# Makes a cluster. The build does it once, so that a start need not.
make_cluster() {
    initdb --username=postgres --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        --wal-segsize=1 --no-sync --no-instructions >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
    # A database to rename: making one takes ten times as long.
    statements 'CREATE DATABASE exitone_unnamed'
    : >"$unnamed"
}

# Runs each statement in a cluster that no server has open; the first error ends it.
statements() {
    printf '%s;\n\n' "$@" | postgres --single -j -c fsync=off -c exit_on_error=on -c log_min_messages=fatal \
        -c log_min_error_statement=panic postgres >/dev/null
}

# A string, or a name, inside of its quotes.
in_quotes() {
    printf '%s' "$2" | sed "s/$1/$1$1/g"
}

# Names the role and the database, and sets the password.
name_cluster() {
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    [ -n "${POSTGRES_PASSWORD:-}" ] || fail 'the superuser has no password: set POSTGRES_PASSWORD'
    # ALTER ROLE renames no role that is in use.
    set -- "UPDATE pg_authid SET rolname = '$(in_quotes \' "$user")' WHERE oid = 10" \
        "ALTER ROLE \"$(in_quotes \" "$user")\" PASSWORD '$(in_quotes \' "$POSTGRES_PASSWORD")'"
    if [ "$database" = postgres ]; then
        set -- "$@" 'DROP DATABASE exitone_unnamed'
    else
        set -- "$@" "ALTER DATABASE exitone_unnamed RENAME TO \"$(in_quotes \" "$database")\""
    fi
    statements "$@"
    rm "$unnamed"
}

[ $# -gt 0 ] || set -- postgres
case $1 in
make-cluster)
    make_cluster
    exit
    ;;
postgres) ;;
-*) set -- postgres "$@" ;;
*) exec "$@" ;;
esac

# The server refuses to run as root.
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    [ "$(stat -c %U "$PGDATA")" = postgres ] || chown -R postgres:postgres "$PGDATA"
    chmod 700 "$PGDATA" || :
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

[ -s "$PGDATA/PG_VERSION" ] || make_cluster
[ ! -e "$unnamed" ] || name_cluster
exec "$@"
