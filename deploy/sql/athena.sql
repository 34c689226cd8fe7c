-- Tables over roll-ups in Amazon S3, for Athena. docs/rollups.md explains the columns.
-- Replace BUCKET/rollup. Athena runs one statement at a time.
CREATE EXTERNAL TABLE IF NOT EXISTS rollup_rows (
  day date,
  client_cloud string,
  client_region string,
  store string,
  class string,
  operation string,
  reason string,
  repository string,
  source string,
  requests double,
  bytes double,
  lines bigint,
  squares double
)
STORED AS PARQUET
LOCATION 's3://BUCKET/rollup/rows/';

CREATE EXTERNAL TABLE IF NOT EXISTS rollup_objects (
  month date,
  digest string,
  client_cloud string,
  client_region string,
  requests double,
  bytes double
)
STORED AS PARQUET
LOCATION 's3://BUCKET/rollup/objects/';
