-- Tables over roll-ups in Google Cloud Storage, for BigQuery. docs/rollups.md explains the columns.
-- Replace BUCKET/rollup. Then: bq query --use_legacy_sql=false --dataset_id=DATASET < bigquery.sql
CREATE OR REPLACE EXTERNAL TABLE rollup_rows (
  day DATE,
  client_cloud STRING,
  client_region STRING,
  store STRING,
  class STRING,
  operation STRING,
  reason STRING,
  repository STRING,
  source STRING,
  requests FLOAT64,
  bytes FLOAT64,
  lines INT64,
  squares FLOAT64
)
OPTIONS (format = 'PARQUET', uris = ['gs://BUCKET/rollup/rows/*.parquet']);

CREATE OR REPLACE EXTERNAL TABLE rollup_objects (
  month DATE,
  digest STRING,
  client_cloud STRING,
  client_region STRING,
  requests FLOAT64,
  bytes FLOAT64
)
OPTIONS (format = 'PARQUET', uris = ['gs://BUCKET/rollup/objects/*.parquet']);
