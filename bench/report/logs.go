package main

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"time"
)

// request is what a line tells.
type request struct {
	at     time.Time
	client netip.Addr
	digest string
	agent  string
	id     uint64
	size   int64
}

// logLayout is a log in the layout of a provider.
type logLayout struct {
	name string
	head string
	line func(io.Writer, *request)
}

const (
	bucket = "prod-registry-example-eu-central-1"
	fields = "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len sc-range-start sc-range-end"
)

var layouts = []logLayout{
	{"s3", "", func(w io.Writer, r *request) {
		fmt.Fprintf(w, "9a1e0c2f4b7d8e3a6c5f0b1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f60718293a4b5 %s [%s] %s - %016X REST.GET.OBJECT containers/images/sha256%%253A%s \"GET /containers/images/sha256:%s HTTP/1.1\" 200 - %d %d 120 11 \"-\" \"%s\" - %016xbase64+base64/base64base64base64base64base64base64base64base6= - TLS_AES_128_GCM_SHA256 - %s.s3.dualstack.eu-central-1.amazonaws.com TLSv1.3 - - eu-central-1\n",
			bucket, r.at.Format("02/Jan/2006:15:04:05 +0000"), r.client, r.id, r.digest, r.digest, r.size, r.size, r.agent, r.id, bucket)
	}},
	{"cloudfront", "#Version: 1.0\n#Fields: " + fields + "\n", func(w io.Writer, r *request) {
		fmt.Fprintf(w, "%s\tFRA60-P1\t%d\t%s\tGET\td0000example.cloudfront.net\t/containers/images/sha256:%s\t200\t-\t%s\t-\t-\tHit\t%016xbase64base64base64base64base64base64==\tcdn.registry.example.org\thttps\t312\t0.211\t-\tTLSv1.3\tTLS_AES_128_GCM_SHA256\tHit\tHTTP/2.0\t-\t-\t41234\t0.012\tHit\tapplication/octet-stream\t%d\t-\t-\n",
			r.at.Format("2006-01-02\t15:04:05"), r.size+420, r.client, r.digest, strings.ReplaceAll(r.agent, " ", "%20"), r.id, r.size)
	}},
	{"cloudfront-json", "", func(w io.Writer, r *request) {
		fmt.Fprintf(w, `{"date":"%s","time":"%s","x-edge-location":"FRA60-P1","sc-bytes":"%d","c-ip":"%s","cs-method":"GET","cs(Host)":"d0000example.cloudfront.net","cs-uri-stem":"/containers/images/sha256:%s","sc-status":"200","cs(Referer)":"-","cs(User-Agent)":"%s","cs-uri-query":"-","cs(Cookie)":"-","x-edge-result-type":"Hit","x-edge-request-id":"%016xbase64==","x-host-header":"cdn.registry.example.org","cs-protocol":"https","cs-bytes":"312","time-taken":"0.211","sc-content-len":"%d"}`+"\n",
			r.at.Format(time.DateOnly), r.at.Format(time.TimeOnly), r.size+420, r.client, r.digest, r.agent, r.id, r.size)
	}},
	{"gcs", `"time_micros","c_ip","c_ip_type","c_ip_region","cs_method","cs_uri","sc_status","cs_bytes","sc_bytes","time_taken_micros","cs_host","cs_referer","cs_user_agent","s_request_id","cs_operation","cs_bucket","cs_object"` + "\n", func(w io.Writer, r *request) {
		fmt.Fprintf(w, `"%d","%s","1","","GET","/layers-gcs/containers/images/sha256:%s","200","0","%d","45000","storage.googleapis.com","","%s","ADPyc%016xbase64base64base64base64","GET_Object","layers-gcs","containers/images/sha256:%s"`+"\n",
			r.at.UnixMicro(), r.client, r.digest, r.size, r.agent, r.id, r.digest)
	}},
	{"azure", "", func(w io.Writer, r *request) {
		fmt.Fprintf(w, `{"time":"%s","resourceId":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/registry/providers/Microsoft.Storage/storageAccounts/layersazure/blobServices/default","category":"StorageRead","operationName":"GetBlob","operationVersion":"2024-05-04","schemaVersion":"1.0","statusCode":200,"statusText":"Success","durationMs":120,"callerIpAddress":"%s","correlationId":"00000000-0000-0000-0000-%016x","identity":{"type":"Anonymous"},"location":"westeurope","properties":{"accountName":"layersazure","userAgentHeader":"%s","etag":"\"0x8D\"","serviceType":"blob","objectKey":"/layersazure/images/containers/images/sha256:%s","lastModifiedTime":"2026/12/01 12:07:25.0000000","metricResponseType":"Success","serverLatencyMs":9,"requestHeaderSize":300,"responseHeaderSize":400,"responseBodySize":%d,"tlsVersion":"TLS 1.3"},"uri":"https://layersazure.blob.core.windows.net:443/images/containers/images/sha256:%s","protocol":"HTTPS","resourceType":"Microsoft.Storage/storageAccounts/blobServices"}`+"\n",
			r.at.Format("2006-01-02T15:04:05.0000000Z"), netip.AddrPortFrom(r.client, 41234), r.id, r.agent, r.digest, r.size, r.digest)
	}},
	{"proxy", "", func(w io.Writer, r *request) {
		fmt.Fprintf(w, `{"time":"%s","level":"INFO","msg":"request","method":"GET","kind":"blob","status":307,"weight":1,"name":"kube-apiserver","reference":"sha256:%s","client":"%s","address_source":"header","place":"aws/eu-central-1","candidate":"s3-eu-central-1","reason":"nearest","bytes":%d,"size":%d,"user_agent":"%s"}`+"\n",
			r.at.Format(time.RFC3339Nano), r.digest, r.client, r.size, r.size, r.agent)
	}},
}

var agents = []string{"containerd/2.1.4", "containerd/v1.7.27", "docker/27.5.1 go/go1.22.11 git-commit/4c9b3b0 kernel/6.8.0 os/linux arch/amd64 UpstreamClient(Docker-Client/27.5.1 \\(linux\\))", "cri-o/1.33.2 go/go1.24.3 os/linux arch/amd64"}

// generate writes a log of lineCount lines, compressed, and returns how many bytes it has without compression. The same
// seed gives the same log.
func generate(file string, l *logLayout) (plain int64, err error) {
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	z := gzip.NewWriter(f)
	out := &counting{Writer: bufio.NewWriterSize(z, 1<<16)}
	rng := rand.New(rand.NewPCG(1, 2))
	digests := make([]string, 5000)
	for i := range digests {
		digests[i] = fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	popular := rand.NewZipf(rng, 1.2, 10, uint64(len(digests)-1))
	_, err = io.WriteString(out, l.head)
	at := time.Date(2026, 12, 12, 0, 0, 0, 0, time.UTC)
	for range lineCount {
		n := rng.Uint32()
		addr := netip.AddrFrom4([4]byte{52 + byte(n>>24)&3, byte(n >> 16), byte(n >> 8), byte(n)})
		if n%8 == 0 {
			addr = netip.AddrFrom16([16]byte{0x2a, 0x05, 0xd0, 0x14, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 15: 1})
		}
		agent := agents[n%uint32(len(agents))]
		if l.name != "s3" && l.name != "gcs" {
			agent = strings.ReplaceAll(agent, `\`, "") // in JSON it would be an escape
		}
		at = at.Add(time.Duration(n%300) * time.Millisecond)
		l.line(out, &request{at, addr, digests[popular.Uint64()], agent, rng.Uint64(), int64(n) >> 8})
	}
	return out.n, errors.Join(err, out.Writer.(*bufio.Writer).Flush(), z.Close(), f.Close())
}

// counting counts what is written.
type counting struct {
	io.Writer
	n int64
}

// Write implements [io.Writer].
func (c *counting) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}
