package accesslog

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// azureLine has the values of one resource log of Azure Storage: as a diagnostic setting writes it into a storage
// account, or as a row of the table StorageBlobLogs.
type azureLine struct {
	time, category, operation, status, client, id, uri                             string
	account, key, agent, sent, size, kind, object, application, resource, response string
}

// azureCell is a value that is read.
type azureCell int

const (
	azureNone azureCell = iota
	azureTime
	azureCategory
	azureOperation
	azureStatus
	azureClient
	azureID
	azureURI
	azureAccount
	azureKey
	azureAgent
	azureSent
	azureKind
	azureObject
	azureApplication
	azureIdentity   // an object with who asked
	azureProperties // an object with all else
)

// azureKeys are the names of all documented values: first those of diagnostic settings, also in the objects `properties`
// and `identity`, then those of the table.
var azureKeys = map[string]azureCell{
	"time": azureTime, "category": azureCategory, "operationName": azureOperation, "statusCode": azureStatus,
	"callerIpAddress": azureClient, "correlationId": azureID, "uri": azureURI, "identity": azureIdentity,
	"properties": azureProperties,
	"resourceId": 0, "operationVersion": 0, "schemaVersion": 0, "statusText": 0, "durationMs": 0, "location": 0,
	"protocol": 0, "resourceType": 0, "level": 0, "tenantId": 0, "authorization": 0,

	"accountName": azureAccount, "objectKey": azureKey, "userAgentHeader": azureAgent, "responseBodySize": azureSent,
	"type": azureKind, "requester": azureIdentity, "objectId": azureObject, "appId": azureApplication,
	"tokenHash": 0, "upn": 0, "tokenIssuer": 0, "audience": 0, "delegatedResource": 0, "userName": 0, "uPN": 0,
	"referrerHeader": 0, "clientRequestId": 0, "etag": 0, "serviceType": 0, "lastModifiedTime": 0,
	"conditionsUsed": 0, "contentLengthHeader": 0, "requestHeaderSize": 0, "requestBodySize": 0,
	"responseHeaderSize": 0, "requestMd5": 0, "responseMd5": 0, "serverLatencyMs": 0, "serviceCode": 0,
	"metricResponseType": 0, "operationCount": 0, "tlsVersion": 0, "accessTier": 0, "sourceAccessTier": 0,
	"sourceUri": 0, "destinationUri": 0, "rehydratePriority": 0, "smbTreeConnectID": 0, "downloadRange": 0,

	"TimeGenerated": azureTime, "Category": azureCategory, "OperationName": azureOperation, "StatusCode": azureStatus,
	"CallerIpAddress": azureClient, "CorrelationId": azureID, "Uri": azureURI, "AccountName": azureAccount,
	"ObjectKey": azureKey, "UserAgentHeader": azureAgent, "ResponseBodySize": azureSent,
	"AuthenticationType": azureKind, "RequesterObjectId": azureObject, "RequesterAppId": azureApplication,
	"AccessTier": 0, "AuthenticationHash": 0, "AuthorizationDetails": 0, "ClientRequestId": 0, "ConditionsUsed": 0,
	"ContentLengthHeader": 0, "DestinationUri": 0, "DurationMs": 0, "Etag": 0, "LastModifiedTime": 0, "Location": 0,
	"MetricResponseType": 0, "OperationCount": 0, "OperationVersion": 0, "Protocol": 0, "ReferrerHeader": 0,
	"RehydratePriority": 0, "RequestBodySize": 0, "RequestHeaderSize": 0, "RequestMd5": 0, "RequesterAudience": 0,
	"RequesterTenantId": 0, "RequesterTokenIssuer": 0, "RequesterUpn": 0, "RequesterUserName": 0,
	"ResponseHeaderSize": 0, "ResponseMd5": 0, "SasExpiryStatus": 0, "SchemaVersion": 0, "ServerLatencyMs": 0,
	"ServiceType": 0, "SourceAccessTier": 0, "SourceSystem": 0, "SourceUri": 0, "StatusText": 0, "TenantId": 0,
	"TlsVersion": 0, "Type": 0, "_BilledSize": 0, "_IsBillable": 0, "_ResourceId": 0, "_SubscriptionId": 0,
	"Internal_WorkspaceResourceId": 0, "TableName": 0,
}

func (l *azureLine) set(cell azureCell, text string) {
	switch cell {
	case azureTime:
		l.time = text
	case azureCategory:
		l.category = text
	case azureOperation:
		l.operation = text
	case azureStatus:
		l.status = text
	case azureClient:
		l.client = text
	case azureID:
		l.id = text
	case azureURI:
		l.uri = text
	case azureAccount:
		l.account = text
	case azureKey:
		l.key = text
	case azureAgent:
		l.agent = text
	case azureSent:
		l.sent = text
	case azureKind:
		l.kind = text
	case azureObject:
		l.object = text
	case azureApplication:
		l.application = text
	}
}

// azureKey reads the value of a key in `properties` or `identity`.
func (p *jsonParser) azureKey(key string) error {
	cell := topKeys[key].azure
	switch {
	case cell == azureNone:
		return p.dec.SkipValue()
	case cell == azureIdentity && p.dec.PeekKind() == '{': // identity.requester
		return p.object(p.azureKey)
	case cell == azureIdentity || cell == azureProperties:
		return p.dec.SkipValue()
	}
	text, err := p.text()
	p.azure.set(cell, text)
	return err
}

// fill makes a record of the line.
func (l *azureLine) fill(r *Record) (outcome, error) {
	if !strings.HasPrefix(l.category, "Storage") {
		return isOther, nil // another service of Azure
	}
	r.Format = Azure
	if !r.setTime(time.RFC3339Nano, l.time) {
		return 0, fmt.Errorf("time %q is no time", l.time)
	}
	if l.operation == "" {
		return 0, errors.New("it has no operation")
	}
	if l.client != "" && !r.setClient(l.client) {
		return 0, fmt.Errorf("%q is no address", l.client)
	}
	if l.status != "" && !r.setStatus(l.status) {
		return 0, fmt.Errorf("%q is no status", l.status)
	}
	r.Operation, r.RequestID, r.UserAgent = l.operation, l.id, l.agent
	r.setTarget(l.uri)
	r.Sent = bytesOf(l.sent)
	r.setAzureObject(l.account, strings.Trim(l.key, `"`))
	switch {
	case l.object != "":
		r.Requester = l.object
	case l.application != "":
		r.Requester = l.application
	case l.kind != "" && l.kind != "Anonymous":
		r.Requester = l.kind // a key of the account, or a signature: the log does not say whose
	}
	return isRequest, nil
}

// setAzureObject takes container and key from /account/container/key, or from the path of the URL.
func (r *Record) setAzureObject(account, object string) {
	if rest, ok := strings.CutPrefix(strings.TrimPrefix(object, "/"), account+"/"); ok {
		object = rest
	} else {
		object = strings.TrimPrefix(r.Path, "/")
	}
	container, key, _ := strings.Cut(object, "/")
	if account != "" {
		r.Bucket = account + "/" + container
	}
	r.Key = key
}
