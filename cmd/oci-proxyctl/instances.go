package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/cli"
	"ociproxy/internal/prometheus"
	"ociproxy/internal/publication"
	"ociproxy/internal/wait"
)

// instance is a running server, as Prometheus knows it. Only add fields; never remove one.
type instance struct {
	Name       string    `json:"name"` // the label instance
	Ring       string    `json:"ring,omitempty"`
	Generation uint64    `json:"generation"` // 0: it uses its fallback file
	SHA256     string    `json:"sha256,omitempty"`
	Seen       time.Time `json:"seen"` // its last sample
}

func (p *prometheusFlags) address(a *app) string { return cmp.Or(p.url, a.env(prometheusVariable)) }

// open returns a client of the Prometheus; nil if none is named.
func (p *prometheusFlags) open(a *app) (*prometheus.Client, error) {
	address := p.address(a)
	if address == "" {
		return nil, nil
	}
	c, err := prometheus.New(address, a.env)
	if err != nil {
		return nil, cli.Usage("for example --prometheus http://prometheus.example:9090", "--prometheus %.200q: %w", address, err)
	}
	return c, nil
}

// step is how finely instances are searched in the past, if the past is not short. Most are scraped less often.
const step = 15 * time.Second

// instances returns the instances of a deployment that had a sample in the last while, sorted by ring and name. An
// instance that has changed its config in that time counts with its newest sample.
func instances(ctx context.Context, c *prometheus.Client, deployment string, within time.Duration) ([]instance, error) {
	last := fmt.Sprintf("timestamp(ociproxy_config_info{deployment=%q})", deployment)
	const by = "max by (instance, ring, generation, hash)"
	// The steps of a subquery end up to one step ago. What an instance uses now comes from the first part.
	samples, err := c.Query(ctx, fmt.Sprintf("%[1]s (%[2]s) or %[1]s (max_over_time(%[2]s[%[3]s:%[4]s]))", by, last, seconds(within), seconds(min(step, within/20))), time.Time{})
	if err != nil {
		return nil, err
	}
	newest := map[string]instance{}
	for _, s := range samples {
		generation, _ := strconv.ParseUint(s.Labels["generation"], 10, 64) // 0 is an instance that runs on its fallback file
		one := instance{s.Labels["instance"], s.Labels["ring"], generation, s.Labels["hash"], time.UnixMilli(int64(s.Value * 1000)).UTC()}
		if time.Since(one.Seen) <= within && one.Seen.After(newest[one.Name].Seen) {
			newest[one.Name] = one
		}
	}
	out := make([]instance, 0, len(newest))
	for _, one := range newest {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b instance) int { return cmp.Or(cmp.Compare(a.Ring, b.Ring), cmp.Compare(a.Name, b.Name)) })
	return out, nil
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64(d/time.Second)), 10) + "s"
}

// followers returns which instances follow an override at present: those that say until when it holds or, if it has no
// end, that it holds.
func followers(ctx context.Context, c *prometheus.Client, o *publication.Override) (map[string]bool, error) {
	expression := fmt.Sprintf("ociproxy_override_info{id=%q}", o.ID)
	if !o.Until.IsZero() { // of the same id there may be one that ends earlier
		expression = fmt.Sprintf("ociproxy_override_until_timestamp_seconds{id=%q} >= %d", o.ID, o.Until.Unix())
	}
	samples, err := c.Query(ctx, expression, time.Time{})
	out := map[string]bool{}
	for _, s := range samples {
		out[s.Labels["instance"]] = true
	}
	return out, err
}

// await waits until every instance follows the overrides, or until none does any more.
func (a *app) await(ctx context.Context, s *switching, deployment string, list []publication.Override, holds bool) error {
	if s.wait == 0 {
		return nil
	}
	c, err := s.prom.open(a)
	if err != nil {
		return err
	}
	var late []string
	fetch := func() bool {
		var all []instance
		if all, err = instances(ctx, c, deployment, s.prom.seen); err != nil {
			return false
		}
		late = nil
		for i := range list {
			var follow map[string]bool
			if follow, err = followers(ctx, c, &list[i]); err != nil {
				return false
			}
			for _, one := range all {
				if follow[one.Name] != holds && !slices.Contains(late, one.Name) {
					late = append(late, one.Name)
				}
			}
		}
		if len(all) == 0 {
			err = fmt.Errorf("%s knows no instance of the deployment %s", c, deployment)
		}
		return err == nil && len(late) == 0
	}
	within, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	if wait.Until(within, 2*time.Second, fetch) == nil {
		_, err := fmt.Fprintln(a.stderr, "every instance follows")
		return err
	}
	if err == nil {
		err = fmt.Errorf("%s not yet: %s", cli.Count(int64(len(late)), "instance"), strings.Join(late[:min(len(late), 10)], ", "))
	}
	return &cli.Error{Err: fmt.Errorf("it is published; after %s: %w", s.wait, err), Hint: "config status shows the instances", Code: cli.CodePartial}
}
