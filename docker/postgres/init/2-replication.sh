#!/bin/bash
# `all` in pg_hba.conf does not mean replication.
set -eu
echo 'host replication replicator all scram-sha-256' >>"$PGDATA/pg_hba.conf"
