package proxy

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"

	"ociproxy/internal/config"
	"ociproxy/internal/oci"
	"ociproxy/internal/probeid"
	"ociproxy/internal/reach"
	"ociproxy/internal/route"
)

func setLevel(v *slog.LevelVar, name string) error {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return err
	}
	v.Set(l)
	return nil
}

// logRequest writes one line for a share of the requests. The line carries its weight, so that sums over a sample
// estimate the total. Answers that report a fault of ours are always logged.
func (s *Server) logRequest(w *wiring, r *http.Request, q *request, d *decision, a *response) {
	share, weight := w.cfg.Log.Requests, 1.0
	if a.status < 500 || q.class == classProbe || a.gone {
		if share <= 0 || (share < 1 && rand.Float64() >= share) {
			return
		}
		weight = 1 / share
	}
	attrs := make([]slog.Attr, 0, 20)
	attrs = append(attrs,
		slog.String("method", r.Method),
		slog.String("kind", classNames[q.class]),
		slog.Int("status", a.status),
		slog.Float64("weight", weight))
	if q.probed() {
		attrs = append(attrs, q.probeAttrs(w, r)...)
	}
	if q.known {
		attrs = append(attrs,
			slog.String("name", q.Name),
			slog.String("reference", reference(&q.Request)),
			slog.String("client", logAddress(q.peer, w.cfg.Log.Client)),
			slog.String("address_source", q.source.String()),
			slog.String("place", q.client.Place.String()))
		if i := a.by; i >= 0 {
			attrs = append(attrs,
				slog.String("candidate", w.snapshot.Candidates[i].Name),
				slog.String("reason", a.why.String()))
		}
		if !q.probed() {
			attrs = append(attrs, d.sizeAttrs(q, a)...)
		}
	}
	if ua := r.UserAgent(); ua != "" {
		attrs = append(attrs, slog.String("user_agent", ua[:min(len(ua), 200)]))
	}
	level := slog.LevelInfo
	if a.err != nil {
		attrs = append(attrs, slog.String("error", a.err.Error()))
		if a.status >= 500 && q.class != classProbe {
			level = slog.LevelError
		}
	}
	s.log.LogAttrs(context.Background(), level, "request", attrs...)
}

// sizeAttrs returns the size of the blob, the part of it that was asked for, and the bytes that are counted for a redirect.
// Sums of `bytes` are the metric of redirected bytes.
func (d *decision) sizeAttrs(q *request, a *response) []slog.Attr {
	var out []slog.Attr
	if a.rid != "" {
		out = append(out, slog.String("rid", a.rid))
	}
	if q.span.Kind != reach.Whole {
		out = append(out, slog.String("range", q.span.String()))
	}
	if d.size > 0 {
		out = append(out, slog.Int64("size", d.size))
		if q.get && a.location != "" {
			out = append(out, slog.Int64("bytes", d.bytes(q)))
		}
	}
	return out
}

// probeAttrs returns what marks a line as a probe's. Its `client` is who sent it, never the client that it claims to be.
func (q *request) probeAttrs(w *wiring, r *http.Request) []slog.Attr {
	out := []slog.Attr{slog.String("probe", q.probe.Outcome.String())}
	if q.probe.Key != "" {
		out = append(out, slog.String("probe_key", q.probe.Key))
	}
	if q.probe.Outcome == probeid.Accepted {
		return append(out, slog.String("probe_client", logAddress(q.probe.Client, w.cfg.Log.Client)))
	}
	// What this server got tells what a front changed.
	return append(out, slog.String("client", logAddress(q.peer, w.cfg.Log.Client)), slog.String("host", r.Host[:min(len(r.Host), 255)]))
}

func reference(req *oci.Request) string {
	if req.Tag != "" {
		return req.Tag
	}
	return req.Digest.String()
}

func logAddress(a netip.Addr, how config.LogClient) string {
	switch {
	case how == config.LogNone || !a.IsValid():
		return ""
	case how == config.LogFull:
		return a.String()
	default:
		return route.Network(a).String()
	}
}
