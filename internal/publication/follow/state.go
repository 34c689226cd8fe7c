package follow

import (
	"maps"
	"time"

	"ociproxy/internal/publication"
)

// State is what is known about a publication, for metrics and people.
type State struct {
	// OK says that everything was read and believed in the last round, and that no configuration was refused.
	OK bool
	// Checked is when the head was last read and believed.
	Checked time.Time
	// Generation is the one in use; 0 for a file that was not published.
	Generation uint64
	// Signed says when the documents in use were signed.
	Signed map[string]time.Time
	// Faults are what is wrong now, by document.
	Faults map[string]error
	// Refused counts the rounds in which a document was not believed.
	Refused map[Refusal]int64
	// Copy is why documents could not be kept on the disk; nil: they were.
	Copy error
}

// Refusal is a document and why it was not believed.
type Refusal struct {
	Document string
	Fault    publication.Fault
}

// State returns what is known now.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Faults, s.Refused, s.Signed = maps.Clone(s.Faults), maps.Clone(s.Refused), map[string]time.Time{}
	s.OK = len(s.Faults) == 0 && !s.Checked.IsZero() && f.used != nil
	s.Copy = f.failed
	if f.used != nil {
		s.Generation = f.used.Generation
		if f.used.head != nil {
			s.Signed[wordHead] = f.used.head.SignedAt
		}
	}
	if k := f.trust.KeySet(); k != nil {
		s.Signed[wordKeys] = k.SignedAt
	}
	if o := f.trust.Overrides(); o != nil {
		s.Signed[wordOverrides] = o.SignedAt
	}
	return s
}

// settle notes what a round found about a document. It logs changes only, because a fault may last for days.
func (f *Follower) settle(word string, err error) {
	fault := publication.FaultOf(err)
	if err == nil {
		delete(f.state.Faults, word)
	} else {
		if f.state.Faults == nil {
			f.state.Faults = map[string]error{}
		}
		f.state.Faults[word] = err
		f.state.Refused[Refusal{word, fault}]++
	}
	if f.said[word] == fault {
		return
	}
	f.said[word] = fault
	if err == nil {
		f.log.Info("the publication is good again", "document", word)
		return
	}
	f.log.Error("a document of the publication is not used, nothing changes", "document", word, "fault", string(fault),
		"error", err.Error(), "source", f.opt.URL)
}

// refusal returns why the newest configuration is not in use; nil: it is, or nobody has tried yet.
func (f *Follower) refusal() error {
	if f.why == nil || f.newest == nil {
		return nil
	}
	return &publication.Error{Fault: publication.Refused, Name: f.newest.Name, Err: f.why}
}
