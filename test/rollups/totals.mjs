// Runs the statements of the files, and prints the rows of a query as JSON: node totals.mjs NODE_MODULES QUERY FILE...
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, query, ...files] = process.argv.slice(2);
const { DuckDBInstance } = createRequire(modules + "/")("@duckdb/node-api");
const instance = await DuckDBInstance.create(":memory:");
const connection = await instance.connect();
for (const file of files) {
  await connection.run(readFileSync(file, "utf8"));
}
const result = await connection.runAndReadAll(query);
console.log(JSON.stringify(result.getRowObjectsJson()));
connection.closeSync();
