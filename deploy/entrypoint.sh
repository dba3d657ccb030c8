#!/bin/sh
# Dagster reads the password of its database from the environment only. Secrets of Refersion and of the warehouse are
# read from files by refersion-dagster itself (REFERSION_SECRETS_DIR).
set -eu
if [ -n "${DAGSTER_POSTGRES_PASSWORD_FILE:-}" ]; then
  DAGSTER_POSTGRES_PASSWORD="$(cat "$DAGSTER_POSTGRES_PASSWORD_FILE")"
  export DAGSTER_POSTGRES_PASSWORD
fi
exec "$@"
