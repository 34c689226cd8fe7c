// Package accesslogtest writes the access logs of stores in the shapes that their providers document, for tests: S3 server
// access logs, CloudFront's standard logs (tab-separated and JSON), the usage logs of Google Cloud Storage, and Azure's
// StorageBlobLogs. A test states what happened as a [Request]; what a provider makes of it is here and nowhere else.
//
// The shapes are those of "Amazon S3 server access log format", "Standard logging reference" of Amazon CloudFront, "Usage logs
// & storage logs" of Google Cloud Storage, and "Azure Blob Storage monitoring data reference".
package accesslogtest
