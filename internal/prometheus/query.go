package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ociproxy/internal/outbound"
)

// Variables of the environment with credentials. They never stand in a URL, which logs and errors may repeat.
const (
	TokenVariable    = "OCI_PROXY_PROMETHEUS_TOKEN"    // of a bearer
	UserVariable     = "OCI_PROXY_PROMETHEUS_USER"     // of basic authentication
	PasswordVariable = "OCI_PROXY_PROMETHEUS_PASSWORD" // of basic authentication
)

// These bound an answer.
const (
	maxBytes   = 32 << 20
	maxSamples = 100_000
)

// timeout is how long one query may take, with its answer. Prometheus itself gives up after two minutes; a query that
// slow is of no use for a decision.
const timeout = 30 * time.Second

// Errors of queries.
var (
	// ErrURL says that the address of the server cannot be used.
	ErrURL = errors.New("want http:// or https:// with a host, and no user name, query or fragment")
	// ErrExpression says that the server does not understand the expression, or that its value is no number.
	ErrExpression = errors.New("the expression cannot be used")
)

// Client asks one server. Several goroutines may use it.
type Client struct {
	base           *url.URL
	token          string
	user, password string
	http           *http.Client
}

// Sample is one value of an expression.
type Sample struct {
	Labels map[string]string
	Value  float64 // may be NaN or infinite
}

// New makes a client of the server at an address, which may have a path. getenv reads the environment.
func New(address string, getenv func(string) string) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, ErrURL
	}
	c := &Client{base: base, token: getenv(TokenVariable), user: getenv(UserVariable), password: getenv(PasswordVariable)}
	if c.token+c.password != "" && base.Scheme == "http" && !outbound.Loopback(base.Host) {
		return nil, fmt.Errorf("%s: credentials are not sent over plain HTTP", base.Redacted())
	}
	c.http = &http.Client{
		Transport:     outbound.New(outbound.Options{Dial: 10 * time.Second, Handshake: 10 * time.Second, Header: timeout, Idle: time.Minute, Connections: 4, HeaderBytes: 64 << 10, Decompress: true}),
		CheckRedirect: outbound.NoRedirect, // credentials stay with the host that they are for
		Timeout:       timeout,
	}
	return c, nil
}

// String returns the address.
func (c *Client) String() string { return c.base.String() }

// Query returns the values of an expression at a time, or at present if at is zero. A scalar is one sample without
// labels. No value is no error.
func (c *Client) Query(ctx context.Context, expression string, at time.Time) ([]Sample, error) {
	form := url.Values{"query": {expression}}
	if !at.IsZero() {
		form.Set("time", at.UTC().Format(time.RFC3339Nano))
	}
	text, status, err := c.ask(ctx, "api/v1/query", form)
	if err != nil {
		return nil, err
	}
	samples, err := parse(status, text)
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus at %s: %w", c.base, err)
	}
	return samples, nil
}

// ask sends a query and returns the whole answer.
func (c *Client) ask(ctx context.Context, path string, form url.Values) (text []byte, status int, err error) {
	form.Set("timeout", timeout.String())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", "oci-proxyctl")
	switch {
	case c.token != "":
		req.Header.Set("Authorization", "Bearer "+c.token)
	case c.user != "":
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("ask Prometheus: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("ask Prometheus at %s: %w", c.base, err)
	case len(text) > maxBytes:
		return nil, 0, fmt.Errorf("ask Prometheus at %s: the answer has more than %d bytes", c.base, maxBytes)
	}
	return text, resp.StatusCode, nil
}

// answer is what the API returns: https://prometheus.io/docs/prometheus/latest/querying/api/
type answer struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Error     string `json:"error"`
	Data      struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	} `json:"data"`
}

func open(status int, text []byte) (a answer, err error) {
	if err := json.Unmarshal(text, &a); err != nil || a.Status == "" {
		return a, fmt.Errorf("status %d, and no answer of Prometheus", status)
	}
	if a.Status != "success" {
		err := fmt.Errorf("%.40s: %.400s", a.ErrorType, a.Error)
		if a.ErrorType == "bad_data" {
			return a, fmt.Errorf("%w: %w", ErrExpression, err)
		}
		return a, err
	}
	return a, nil
}

func parse(status int, text []byte) ([]Sample, error) {
	a, err := open(status, text)
	if err != nil {
		return nil, err
	}
	switch a.Data.ResultType {
	case "scalar":
		var v point
		if err := json.Unmarshal(a.Data.Result, &v); err != nil {
			return nil, err
		}
		return []Sample{{map[string]string{}, float64(v)}}, nil
	case "vector":
		var list []struct {
			Metric map[string]string `json:"metric"`
			Value  *point            `json:"value"`
		}
		if err := json.Unmarshal(a.Data.Result, &list); err != nil {
			return nil, err
		}
		if len(list) > maxSamples {
			return nil, fmt.Errorf("%d samples, more than %d", len(list), maxSamples)
		}
		out := make([]Sample, 0, len(list))
		for _, s := range list {
			if s.Value == nil {
				return nil, fmt.Errorf("%w: it has a histogram as value", ErrExpression)
			}
			out = append(out, Sample{s.Metric, float64(*s.Value)})
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: it is a %.20s, want numbers", ErrExpression, a.Data.ResultType)
}

// point is a pair of a time and a value, which is a text because JSON has no NaN.
type point float64

// UnmarshalJSON implements [json.Unmarshaler].
func (p *point) UnmarshalJSON(text []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil || len(pair) != 2 {
		return fmt.Errorf("%.40q is no value", text)
	}
	var value string
	if err := json.Unmarshal(pair[1], &value); err != nil {
		return fmt.Errorf("%.40q is no value", text)
	}
	f, err := strconv.ParseFloat(value, 64)
	if err != nil && !math.IsInf(f, 0) {
		return fmt.Errorf("%.40q is no number", value)
	}
	*p = point(f)
	return nil
}
