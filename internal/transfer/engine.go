package transfer

import (
	"context"
	"time"
)

// Engine brings blobs to targets. Its methods may be called from several goroutines.
type Engine struct{}

// New makes an engine; [Engine.Close] ends it. The error is about the options or the folder of the spool.
func New(opt Options) (*Engine, error) { return &Engine{}, nil }

// Ensure brings a blob to the targets of need. Those of have hold it, says the caller: a target of the same group may copy it from there.
func (e *Engine) Ensure(ctx context.Context, b Blob, need, have Set) (<-chan Result, error) {
	return nil, ErrClosed
}

// Reset begins a new pass: targets that were put aside are tried again.
func (e *Engine) Reset() {}

// CleanStale aborts uploads that were begun longer than age ago and never finished.
func (e *Engine) CleanStale(ctx context.Context, age time.Duration) (aborted int, errs []error) {
	return 0, nil
}

// Stats returns a snapshot.
func (e *Engine) Stats() Stats { return Stats{} }

// Close ends the engine.
func (e *Engine) Close(ctx context.Context) error { return nil }
