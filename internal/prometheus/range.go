package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// Series are the values of one time series of an expression, oldest first. Times without a value are left out.
type Series struct {
	Labels map[string]string
	Points []Point
}

// Point is a value at a time.
type Point struct {
	At    time.Time
	Value float64 // may be NaN or infinite
}

// QueryRange returns the values of an expression from one time to another, every step. It returns at most as many
// values as [Client.Query] does samples. No value is no error.
func (c *Client) QueryRange(ctx context.Context, expression string, from, to time.Time, step time.Duration) ([]Series, error) {
	text, status, err := c.ask(ctx, "api/v1/query_range", url.Values{
		"query": {expression}, "start": {from.UTC().Format(time.RFC3339Nano)}, "end": {to.UTC().Format(time.RFC3339Nano)},
		"step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	})
	if err != nil {
		return nil, err
	}
	series, err := parseRange(status, text)
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus at %s: %w", c.base, err)
	}
	return series, nil
}

func parseRange(status int, text []byte) ([]Series, error) {
	a, err := open(status, text)
	if err != nil {
		return nil, err
	}
	if a.Data.ResultType != "matrix" {
		return nil, fmt.Errorf("%w: it is a %.20s, want series of numbers", ErrExpression, a.Data.ResultType)
	}
	var list []struct {
		Metric map[string]string `json:"metric"`
		Values []timed           `json:"values"`
	}
	if err := json.Unmarshal(a.Data.Result, &list); err != nil {
		return nil, err
	}
	out, all := make([]Series, 0, len(list)), 0
	for _, s := range list {
		if all += len(s.Values); all > maxSamples {
			return nil, fmt.Errorf("more than %d values", maxSamples)
		}
		one := Series{Labels: s.Metric}
		for _, v := range s.Values {
			one.Points = append(one.Points, Point(v))
		}
		out = append(out, one)
	}
	return out, nil
}

// timed is a pair of a time in Unix seconds and a value.
type timed Point

// UnmarshalJSON implements [json.Unmarshaler].
func (t *timed) UnmarshalJSON(text []byte) error {
	var value point
	if err := value.UnmarshalJSON(text); err != nil {
		return err
	}
	var pair []json.RawMessage
	var seconds float64
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[0], &seconds); err != nil {
		return fmt.Errorf("%.40q is no time", pair[0])
	}
	t.At, t.Value = time.UnixMilli(int64(seconds*1000)), float64(value)
	return nil
}
