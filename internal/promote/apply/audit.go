package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"ociproxy/internal/oci"
)

// Action is what was done, in the words of the audit log.
type Action string

// The actions.
const (
	Begin    Action = "begin"    // a run began; nothing was written yet
	Blob     Action = "blob"     // a blob was sent to a destination
	Mount    Action = "mount"    // a blob was mounted from another repository of the host
	Stored   Action = "store"    // a blob was copied to a store
	Manifest Action = "manifest" // a manifest was pushed by digest
	SetTag   Action = "tag"      // a tag was set
	Merge    Action = "merge"    // a list of what refers to a digest was extended
	Signed   Action = "sign"     // an image got a signature
	End      Action = "end"      // a run ended
)

// Entry is one line of the audit log. Fields are only added.
type Entry struct {
	Time       time.Time  `json:"time"`
	Run        string     `json:"run,omitempty"` // id of the run of this process
	Who        string     `json:"who,omitempty"`
	Plan       string     `json:"plan,omitempty"` // its SHA-256
	Action     Action     `json:"action"`
	Repository string     `json:"repository,omitempty"`
	Store      string     `json:"store,omitempty"`
	Tag        string     `json:"tag,omitempty"`
	Digest     oci.Digest `json:"digest,omitzero"`
	Was        oci.Digest `json:"was,omitzero"` // the tag's digest before
	From       string     `json:"from,omitempty"`
	Result     string     `json:"result"` // "ok", how it came there, or "failed": the outcome is unknown
	Error      string     `json:"error,omitempty"`
}

// journal writes the audit log. A write that cannot be logged ends the run.
type journal struct {
	run, who, plan string
	stop           context.CancelCauseFunc

	mu sync.Mutex
	w  io.Writer
}

// add logs an attempted write.
func (j *journal) add(e Entry, err error) {
	if j.w == nil {
		return
	}
	e.Time, e.Run, e.Who, e.Plan = time.Now().UTC(), j.run, j.who, j.plan
	switch {
	case err != nil:
		e.Result, e.Error = "failed", err.Error()
	case e.Result == "":
		e.Result = "ok"
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := e.Append(j.w); err != nil {
		j.stop(err)
	}
}

// Append writes the entry as one line.
func (e Entry) Append(w io.Writer) error {
	line, err := json.Marshal(e)
	if err == nil {
		_, err = w.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}
