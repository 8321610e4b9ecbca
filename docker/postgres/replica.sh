#!/bin/bash
# Copies the primary when the volume is new, then starts as any PostgreSQL container does.
set -eu
export PGPASSWORD=$REPLICATION_PASSWORD
primary="host=primary user=replicator dbname=postgres application_name=$REPLICATION_SLOT"
copy="$PGDATA.copy"

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # A copy that was not finished is none.
  rm -rf "$copy" "$PGDATA"
  psql -qAt "$primary" -v slot="$REPLICATION_SLOT" >/dev/null <<'SQL'
SELECT pg_create_physical_replication_slot(:'slot', true)
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = :'slot')
SQL
  pg_basebackup --dbname="$primary" --pgdata="$copy" --slot="$REPLICATION_SLOT" \
    --wal-method=stream --checkpoint=fast --write-recovery-conf
  mv "$copy" "$PGDATA"
fi
unset PGPASSWORD REPLICATION_PASSWORD
exec docker-entrypoint.sh "$@"
