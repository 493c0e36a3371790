#!/bin/sh
# Run by PostgreSQL's image once, when its data folder is made: a role and a database for each tool, as their secrets
# name them (several own a table alembic_version). Prefect's migrations need pg_trgm; our own role makes the throwaway
# database into which a backup is restored once a week.
set -eu
for file in database_url mlflow_database_url prefect_database_url; do
	url=$(cat "${SECRETS:-/run/secrets}/$file")
	rest=${url#*://}
	role=${rest%%:*}
	password=${rest#*:}
	password=${password%%@*}
	psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" -v role="$role" -v password="$password" --quiet --no-psqlrc --dbname postgres <<-'SQL'
		CREATE ROLE :"role" LOGIN PASSWORD :'password';
		CREATE DATABASE :"role" OWNER :"role";
		REVOKE CONNECT ON DATABASE :"role" FROM PUBLIC;
	SQL
done
psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --quiet --no-psqlrc --dbname prefect -c 'CREATE EXTENSION IF NOT EXISTS pg_trgm'
psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --quiet --no-psqlrc --dbname postgres -c 'ALTER ROLE halftime CREATEDB'
