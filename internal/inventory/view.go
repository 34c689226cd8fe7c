package inventory

import (
	"sync/atomic"

	"ociproxy/internal/set"
)

// View is what the inventories say at one moment. It is immutable.
type View struct {
	// Table says which stores hold a digest. It may know stores that are not believed.
	Table *Table
	// Believed are the stores whose inventory counts now: they do not hold what the table does not list for them. Any
	// other store has to be asked.
	Believed set.Set
}

// Live is the newest [View], with the indices of one [Follower.Follow]. The next Follow leaves it unchanged, so that
// code that still uses the old indices never gets a view with the new ones.
type Live struct{ view atomic.Pointer[View] }

// View returns the newest view; never nil. It takes no lock. Keep the view only for one decision: it holds memory.
func (l *Live) View() *View { return l.view.Load() }

func newLive(v *View) *Live {
	l := &Live{}
	l.view.Store(v)
	return l
}

// publish reports whether v says anything new.
func (l *Live) publish(v *View) bool {
	if was := l.view.Load(); was.Table == v.Table && was.Believed == v.Believed {
		return false
	}
	l.view.Store(v)
	return true
}
