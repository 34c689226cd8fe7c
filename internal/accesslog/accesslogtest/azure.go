package accesslogtest

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// Account is the storage account of Azure's lines.
const Account = "registryblobs"

// azureTime has seven digits of a second.
const azureTime = "2006-01-02T15:04:05.0000000Z"

// azureLog is a line that a diagnostic setting writes into a storage account (insights-logs-storageread).
type azureLog struct {
	Time             string          `json:"time"`
	ResourceID       string          `json:"resourceId"`
	Category         string          `json:"category"`
	OperationName    string          `json:"operationName"`
	OperationVersion string          `json:"operationVersion"`
	SchemaVersion    string          `json:"schemaVersion"`
	StatusCode       int             `json:"statusCode"`
	StatusText       string          `json:"statusText"`
	DurationMs       int64           `json:"durationMs"`
	CallerIPAddress  string          `json:"callerIpAddress,omitempty"`
	CorrelationID    string          `json:"correlationId"`
	Identity         map[string]any  `json:"identity"`
	Location         string          `json:"location"`
	Properties       azureProperties `json:"properties"`
	URI              string          `json:"uri"`
	Protocol         string          `json:"protocol"`
	ResourceType     string          `json:"resourceType"`
}

type azureProperties struct {
	AccountName        string `json:"accountName"`
	UserAgentHeader    string `json:"userAgentHeader,omitempty"`
	ServiceType        string `json:"serviceType"`
	ObjectKey          string `json:"objectKey"`
	MetricResponseType string `json:"metricResponseType"`
	ServerLatencyMs    int64  `json:"serverLatencyMs"`
	RequestHeaderSize  int64  `json:"requestHeaderSize"`
	ResponseHeaderSize int64  `json:"responseHeaderSize"`
	ResponseBodySize   int64  `json:"responseBodySize,omitempty"`
	TLSVersion         string `json:"tlsVersion"`
}

// Azure returns the line of a resource log of Azure Blob Storage in a storage account, without a line end.
func Azure(r *Request) string {
	operation, category, text := r.azure()
	return asJSON(azureLog{
		Time: r.Time.UTC().Format(azureTime), ResourceID: azureResource, Category: category, OperationName: operation,
		OperationVersion: "2024-11-04", SchemaVersion: "1.0", StatusCode: r.Status, StatusText: text, DurationMs: r.Took.Milliseconds(),
		CallerIPAddress: caller(r.Client), CorrelationID: r.uuid("azure"), Identity: map[string]any{"type": r.azureIdentity()}, Location: r.Region,
		Properties: azureProperties{
			AccountName: Account, UserAgentHeader: r.Agent, ServiceType: "blob", ObjectKey: "/" + Account + "/" + r.Bucket + "/" + r.Key,
			MetricResponseType: text, ServerLatencyMs: r.Took.Milliseconds(), RequestHeaderSize: 302, ResponseHeaderSize: r.Heading,
			ResponseBodySize: r.Sent, TLSVersion: "TLS 1.3",
		},
		URI: r.azureURI(), Protocol: "HTTPS", ResourceType: "Microsoft.Storage/storageAccounts/blobServices",
	})
}

// azureRow is a row of the table StorageBlobLogs as Log Analytics exports it.
type azureRow struct {
	TimeGenerated      string
	AccountName        string
	AuthenticationType string
	CallerIPAddress    string `json:"CallerIpAddress"`
	Category           string
	CorrelationID      string `json:"CorrelationId"`
	DurationMs         float64
	Location           string
	MetricResponseType string
	ObjectKey          string
	OperationName      string
	Protocol           string
	ResponseBodySize   int64
	ResponseHeaderSize int64
	ServiceType        string
	StatusCode         string
	StatusText         string
	TLSVersion         string `json:"TlsVersion"`
	URI                string `json:"Uri"`
	UserAgentHeader    string
	Type               string
	ResourceID         string `json:"_ResourceId"`
}

// AzureTable returns a row of StorageBlobLogs as Log Analytics exports it, without a line end.
func AzureTable(r *Request) string {
	operation, category, text := r.azure()
	return asJSON(azureRow{
		TimeGenerated: r.Time.UTC().Format(azureTime), AccountName: Account, AuthenticationType: r.azureIdentity(), CallerIPAddress: caller(r.Client),
		Category: category, CorrelationID: r.uuid("azure"), DurationMs: float64(r.Took) / float64(time.Millisecond), Location: r.Region,
		MetricResponseType: text, ObjectKey: "/" + Account + "/" + r.Bucket + "/" + r.Key, OperationName: operation, Protocol: "HTTPS",
		ResponseBodySize: r.Sent, ResponseHeaderSize: r.Heading, ServiceType: "blob", StatusCode: strconv.Itoa(r.Status), StatusText: text,
		TLSVersion: "TLS 1.3", URI: r.azureURI(), UserAgentHeader: r.Agent, Type: "StorageBlobLogs", ResourceID: azureResource,
	})
}

const azureResource = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/registry/providers/Microsoft.Storage/" +
	"storageAccounts/" + Account + "/blobServices/default"

// azure returns the operation, its category, and the text of its status.
func (r *Request) azure() (operation, category, text string) {
	text = "Success"
	switch {
	case r.Aborted:
		text = "NetworkError"
	case r.Status == http.StatusNotFound:
		text = "BlobNotFound"
	case r.Status == http.StatusRequestedRangeNotSatisfiable:
		text = "InvalidRange"
	case r.Status >= http.StatusInternalServerError:
		text = "ServerOtherError"
	case r.Requester == "" && r.Act == Read:
		text = "AnonymousSuccess"
	}
	switch r.Act {
	case Write:
		return "PutBlob", "StorageWrite", text
	case List:
		return "ListBlobs", "StorageRead", text
	case CopyFrom:
		return "CopyBlobSource", "StorageRead", text
	case Expire:
		return "DeleteBlob", "StorageDelete", text
	case Read:
	}
	if r.Method == http.MethodHead {
		return "GetBlobProperties", "StorageRead", text
	}
	return "GetBlob", "StorageRead", text
}

func (r *Request) azureIdentity() string {
	switch {
	case r.Act == Expire:
		return "TrustedAccess"
	case r.Requester != "":
		return "OAuth"
	}
	return "Anonymous"
}

func (r *Request) azureURI() string {
	return "https://" + Account + ".blob.core.windows.net:443" + r.target("/"+r.Bucket+"/")
}

// caller returns address and port; of an internal request, nothing.
func caller(client netip.AddrPort) string {
	if !client.IsValid() {
		return ""
	}
	return client.String()
}

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // the types have only texts and numbers
	}
	return string(data)
}
