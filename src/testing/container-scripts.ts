/**
 * Runs in the image's first start of the primary, when the data directory exists: our settings, and
 * log-ins for replication, which `all` in pg_hba.conf does not mean. `md5` takes SCRAM, too, where
 * the password is kept so.
 */
export const INIT_SCRIPT = `cat /etc/pgsplit-settings.conf >> "$PGDATA/postgresql.conf"
echo 'host replication all all md5' >> "$PGDATA/pg_hba.conf"
`

/**
 * The entrypoint of a replica: at its first start it copies the primary, then it is a server like
 * any other.
 */
export const REPLICA_SCRIPT = `set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  pg_basebackup -d "$PGSPLIT_PRIMARY" -D "$PGDATA" -R -X stream -c fast \${PGSPLIT_SLOT:+-S "$PGSPLIT_SLOT"}
fi
exec docker-entrypoint.sh "$@"
`
