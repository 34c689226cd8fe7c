package proxy

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"

	"ociproxy/internal/config"
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

// logRequest writes one line for a share of the requests. The line carries its weight, so that sums over a
// sample are estimates of the whole. Answers of our own fault are always logged.
func (s *Server) logRequest(w *world, r *http.Request, a *answer) {
	share, weight := w.cfg.Log.Requests, 1.0
	if a.status < 500 || a.class == classProbe || a.gone {
		if share <= 0 || (share < 1 && rand.Float64() >= share) {
			return
		}
		weight = 1 / share
	}
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs,
		slog.String("method", r.Method),
		slog.String("kind", classNames[a.class]),
		slog.Int("status", a.status),
		slog.Float64("weight", weight))
	if a.decided {
		attrs = append(attrs,
			slog.String("name", a.req.Name),
			slog.String("reference", reference(a)),
			slog.String("client", logAddress(a.client.Addr, w.cfg.Log.Client)),
			slog.String("address_source", a.source.String()),
			slog.String("place", a.client.Place.String()))
		if i := a.decision.Candidate; i >= 0 {
			attrs = append(attrs,
				slog.String("candidate", w.snapshot.Candidates[i].Name),
				slog.String("reason", a.decision.Reason.String()))
		}
		if a.size > 0 {
			attrs = append(attrs, slog.Int64("bytes", a.size))
		}
	}
	if ua := r.UserAgent(); ua != "" {
		attrs = append(attrs, slog.String("user_agent", ua[:min(len(ua), 200)]))
	}
	level := slog.LevelInfo
	if a.err != nil {
		attrs = append(attrs, slog.String("error", a.err.Error()))
		if a.status >= 500 && a.class != classProbe {
			level = slog.LevelError
		}
	}
	s.log.LogAttrs(context.Background(), level, "request", attrs...)
}

func reference(a *answer) string {
	if a.req.Tag != "" {
		return a.req.Tag
	}
	return a.req.Digest.String()
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
