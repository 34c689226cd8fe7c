package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// statement is a statement of the in-toto attestation framework, version 1, with the predicate of
// https://slsa.dev/spec/v1.0/provenance.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

type predicate struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string            `json:"buildType"`
	ExternalParameters   map[string]string `json:"externalParameters"`
	InternalParameters   map[string]string `json:"internalParameters"`
	ResolvedDependencies []resource        `json:"resolvedDependencies"`
}

type resource struct {
	URI    string            `json:"uri,omitempty"`
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

type runDetails struct {
	Builder  resourceID `json:"builder"`
	Metadata metadata   `json:"metadata"`
}

type resourceID struct {
	ID string `json:"id"`
}

type metadata struct {
	InvocationID string    `json:"invocationId,omitempty"`
	FinishedOn   time.Time `json:"finishedOn"`
}

// parse reads the lines that sha256sum prints.
func parse(text string) ([]subject, error) {
	var all []subject
	for line := range strings.Lines(text) {
		digest, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		if raw, err := hex.DecodeString(digest); !ok || err != nil || len(raw) != sha256.Size || name == "" {
			return nil, fmt.Errorf("%q is no line of sha256sum", line)
		}
		all = append(all, subject{Name: name, Digest: map[string]string{"sha256": digest}})
	}
	if len(all) == 0 {
		return nil, errors.New("it lists no file")
	}
	return all, nil
}

func digestOf(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
