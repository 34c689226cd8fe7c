-- Tables over roll-ups in a directory, for DuckDB. docs/rollups.md explains the columns.
-- Replace DIRECTORY with the directory, or with s3://BUCKET/rollup after you have loaded httpfs.
CREATE OR REPLACE VIEW rollup_rows AS
SELECT * FROM read_parquet('DIRECTORY/rows/*/*.parquet');

CREATE OR REPLACE VIEW rollup_objects AS
SELECT * FROM read_parquet('DIRECTORY/objects/*/*.parquet');
