#!/usr/bin/env bash
# Stands in for the entrypoint of the official postgres image, as far as its users rely on it: the
# POSTGRES_* variables and their _FILE forms, init scripts, a first server on the Unix socket alone
# (so that TCP opens when all is ready), the drop from root, and `IMAGE -c name=value`.
set -Eeuo pipefail
if [ $# -eq 0 ] || [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" != postgres ]; then exec "$@"; fi

if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 700 "$PGDATA"
  find "$PGDATA" \! -user postgres -exec chown postgres:postgres {} +
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi

initialize() {
  local name file
  for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_INITDB_ARGS; do
    file="${name}_FILE"
    if [ -n "${!file:-}" ]; then export "$name=$(<"${!file}")"; fi
  done
  local user="${POSTGRES_USER:-postgres}" method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
  local database="${POSTGRES_DB:-$user}" init_args=()
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
    echo 'Error: no POSTGRES_PASSWORD, and POSTGRES_HOST_AUTH_METHOD is not trust' >&2
    exit 1
  fi
  # shell words, as in the official image
  eval "init_args=(${POSTGRES_INITDB_ARGS:-})"
  if [ -n "${POSTGRES_PASSWORD:-}" ]; then
    initdb --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${init_args[@]}"
  else
    initdb --username="$user" "${init_args[@]}"
  fi
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

  local options
  options="$(printf ' %q' "$@" -c "listen_addresses=")"
  pg_ctl -D "$PGDATA" -o "$options" -w -t 60 start
  export PGPASSWORD="${POSTGRES_PASSWORD:-}"
  local psql=(psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password -U "$user")
  if [ "$database" != postgres ]; then
    "${psql[@]}" -d postgres --set db="$database" <<<'CREATE DATABASE :"db"'
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) "${psql[@]}" -d "$database" -f "$file" ;;
    esac
  done
  unset PGPASSWORD
  pg_ctl -D "$PGDATA" -m fast -w stop
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then initialize "${@:2}"; fi
exec "$@"
