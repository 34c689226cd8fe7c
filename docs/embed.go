// Package docs carries the generated documents that a binary prints. It imports nothing of ours.
package docs

import _ "embed" // for the schema

// ConfigSchema is the JSON schema of the config file, as generated from internal/config.
//
//go:embed config.schema.json
var ConfigSchema []byte

// PromotionSchema is the JSON schema of promoter manifests.
//
//go:embed promotion.schema.json
var PromotionSchema []byte
