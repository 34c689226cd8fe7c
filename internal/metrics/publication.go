package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Publication is what is known about the publication that an instance follows.
type Publication struct {
	OK      bool      // everything was believed in the last round
	Checked time.Time // when the head was last read and believed
	Signed  map[string]time.Time
	Refused map[Refusal]int64
}

// Refusal is a document of a publication and why it was not believed.
type Refusal struct{ Document, Fault string }

// The metrics of a publication. A server that uses a file has none of them, so that alerts can tell the two apart.
var (
	publicationOK = prometheus.NewDesc("ociproxy_config_publication_ok",
		"1 while the publication of configs can be read and believed, and its config is in use.", nil, nil)
	publicationChecked = prometheus.NewDesc("ociproxy_config_publication_checked_timestamp_seconds",
		"When the head of the publication was last read and believed; 0: never.", nil, nil)
	publicationSigned = prometheus.NewDesc("ociproxy_config_publication_signed_timestamp_seconds",
		"When each document in use was last signed.", []string{"document"}, nil)
	publicationRefused = prometheus.NewDesc("ociproxy_config_publication_refused_total",
		"Rounds in which a document of the publication was not believed, by document and fault.", []string{"document", "fault"}, nil)
)

// FollowPublication adds the metrics of a publication. state is called at each scrape. Its Refused has an entry for
// each document and fault.
func (m *Metrics) FollowPublication(state func() Publication) {
	m.Registry.MustRegister(following(state))
}

type following func() Publication

func (following) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{publicationOK, publicationChecked, publicationSigned, publicationRefused} {
		to <- d
	}
}

func (f following) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := f()
	gauge(publicationOK, flag(s.OK))
	gauge(publicationChecked, unix(s.Checked))
	for document, at := range s.Signed {
		gauge(publicationSigned, unix(at), document)
	}
	for r, n := range s.Refused {
		to <- prometheus.MustNewConstMetric(publicationRefused, prometheus.CounterValue, float64(n), r.Document, r.Fault)
	}
}

// unix returns t in Unix seconds, and 0 for the zero time.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
