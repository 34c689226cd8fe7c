// Package smoke tests deploy/terraform/smoke.sh on a real S3 server, as far as that needs no account.
package smoke
