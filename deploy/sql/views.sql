-- Views over rollup_rows and rollup_objects, for BigQuery, Athena and DuckDB alike. Create the tables first, with
-- bigquery.sql, athena.sql or duckdb.sql. Athena runs one statement at a time.

-- What each store sent in a month, for whom. Compare it with the bill of the store: all classes are on it.
CREATE OR REPLACE VIEW rollup_store_months AS
SELECT
  EXTRACT(YEAR FROM day) AS year_of,
  EXTRACT(MONTH FROM day) AS month_of,
  store,
  class,
  operation,
  source,
  SUM(requests) AS requests,
  SUM(bytes) AS bytes
FROM rollup_rows
GROUP BY 1, 2, 3, 4, 5, 6;

-- What clients of each place got from each store on a day. A request of a client is in the log of the proxy and in that
-- of the store: select one source.
CREATE OR REPLACE VIEW rollup_client_days AS
SELECT
  day,
  source,
  client_cloud,
  client_region,
  store,
  SUM(requests) AS requests,
  SUM(bytes) AS bytes
FROM rollup_rows
WHERE class IN ('client', 'endpoint') AND operation = 'get'
GROUP BY 1, 2, 3, 4, 5;

-- What the proxy sent clients to, by repository and reason.
CREATE OR REPLACE VIEW rollup_repository_days AS
SELECT
  day,
  repository,
  store,
  reason,
  SUM(requests) AS requests,
  SUM(bytes) AS bytes
FROM rollup_rows
WHERE source = 'proxy'
GROUP BY 1, 2, 3, 4;

-- How far the bytes of a sampled log may be off: two standard deviations, as a share. 0 for logs with every request.
CREATE OR REPLACE VIEW rollup_sampling AS
SELECT
  day,
  store,
  source,
  SUM(requests) / SUM(lines) AS requests_per_line,
  2 * SQRT(GREATEST(0, 1 - SUM(lines) / SUM(requests)) * SUM(squares)) / NULLIF(SUM(bytes), 0) AS bytes_off
FROM rollup_rows
WHERE lines > 0
GROUP BY 1, 2, 3;

-- The digests with the most bytes of each month. The digest '' is the sum of all others.
CREATE OR REPLACE VIEW rollup_top_digests AS
SELECT
  month,
  digest,
  SUM(requests) AS requests,
  SUM(bytes) AS bytes
FROM rollup_objects
GROUP BY 1, 2;
