package admission

import (
	"context"
	"errors"
	"net/http"

	"ociproxy/internal/check/judge"
	"ociproxy/internal/outbound"
)

// families reads an object over each IP family that the config lists for the store.
func (r *run) families(ctx context.Context) error {
	if len(r.blobs) == 0 {
		return nil
	}
	both := r.store.Families.IPv4 == r.store.Families.IPv6 // neither: the config was not read from a file
	for _, f := range []struct {
		id     string
		family judge.Family
		wanted bool
	}{{idIPv4, judge.IPv4, both || r.store.Families.IPv4}, {idIPv6, judge.IPv6, both || r.store.Families.IPv6}} {
		v := judge.Note("not in families: clients of that family are sent elsewhere")
		if f.wanted {
			v = r.over(ctx, f.family, r.blobs[0])
		}
		r.say(f.id, "", v)
	}
	return nil
}

// over reads the beginning of b over one family.
func (r *run) over(ctx context.Context, f judge.Family, b judge.Blob) judge.Verdict {
	tr := transport(r.opt.Timeout, f)
	defer tr.CloseIdleConnections()
	a := judge.Asker{
		Client:  &http.Client{Transport: r.meter.wrap(tr), CheckRedirect: outbound.NoRedirect},
		Timeout: r.opt.Timeout, UserAgent: r.opt.UserAgent,
	}
	ans := a.Ask(ctx, judge.Query{Method: http.MethodGet, URL: r.at(b), Max: rangeSize})
	none, absent := errors.AsType[*judge.NoAddress](ans.Err)
	switch {
	case absent:
		return judge.Warn("see the hint of "+live+"."+f.String(), "%v", none)
	case judge.NoRoute(ans.Err):
		return judge.Note("not tested: this machine has no %s network", f)
	}
	if v, bad := judge.Trouble(ans); bad {
		return v
	}
	if ans.Status != http.StatusOK {
		return judge.Fail(judge.HintAnonymous, "%d over %s", ans.Status, f)
	}
	return judge.Good("200, first %s", judge.Size(int64(len(ans.Body))))
}
