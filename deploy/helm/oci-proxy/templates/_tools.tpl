{{- /* oci-proxy.tools: which of mirror, auditor and promoter there are. */ -}}
{{- define "oci-proxy.tools" -}}
{{- $all := list -}}
{{- if ne .Values.mirror.kind "none" -}}{{- $all = append $all "mirror" -}}{{- end -}}
{{- if .Values.auditor.enabled -}}{{- $all = append $all "auditor" -}}{{- end -}}
{{- if .Values.promoter.enabled -}}{{- $all = append $all "promoter" -}}{{- end -}}
{{- toYaml $all -}}
{{- end -}}

{{- define "oci-proxy.identity" -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.identity) (deepCopy .values.identity)) -}}
{{- end -}}

{{- /* oci-proxy.identityEnv: how the clouds' libraries find the projected tokens. */ -}}
{{- define "oci-proxy.identityEnv" -}}
{{- with .aws.roleARN }}
- {name: AWS_ROLE_ARN, value: {{ . | quote }}}
- {name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /var/run/secrets/oci-proxy/identity/aws}
{{- end }}
{{- if .azure.clientID }}
- {name: AZURE_CLIENT_ID, value: {{ .azure.clientID | quote }}}
- {name: AZURE_TENANT_ID, value: {{ required "identity.azure.tenantID is not set: Azure needs it beside clientID" .azure.tenantID | quote }}}
- {name: AZURE_AUTHORITY_HOST, value: {{ .azure.authorityHost | quote }}}
- {name: AZURE_FEDERATED_TOKEN_FILE, value: /var/run/secrets/oci-proxy/identity/azure}
{{- end }}
{{- if .google.provider }}
- {name: GOOGLE_APPLICATION_CREDENTIALS, value: /var/run/secrets/oci-proxy/identity/google.json}
{{- end }}
{{- end -}}

{{- /* oci-proxy.identityVolume: one volume with all tokens. {identity, name} */ -}}
{{- define "oci-proxy.identityVolume" -}}
{{- if or .identity.aws.roleARN .identity.azure.clientID .identity.google.provider }}
- name: identity
  projected:
    defaultMode: 0440
    sources:
      {{- if .identity.aws.roleARN }}
      - serviceAccountToken: {path: aws, audience: {{ .identity.aws.audience }}, expirationSeconds: 3600}
      {{- end }}
      {{- if .identity.azure.clientID }}
      - serviceAccountToken: {path: azure, audience: {{ .identity.azure.audience }}, expirationSeconds: 3600}
      {{- end }}
      {{- if .identity.google.provider }}
      - serviceAccountToken: {path: google, audience: {{ printf "https://iam.googleapis.com/%s" .identity.google.provider }}, expirationSeconds: 3600}
      - configMap: {name: {{ .name }}, items: [{key: google.json, path: google.json}]}
      {{- end }}
{{- end }}
{{- end -}}

{{- /* oci-proxy.googleIdentity: the ConfigMap that tells Google's library about the token; it holds no secret. */ -}}
{{- define "oci-proxy.googleIdentity" -}}
{{- $google := (include "oci-proxy.identity" . | fromYaml).google -}}
{{- if $google.provider }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .name }}
  labels:
    {{- include "oci-proxy.labels" . | nindent 4 }}
data:
  {{- $account := dict "type" "external_account" "universe_domain" "googleapis.com" "audience" (printf "//iam.googleapis.com/%s" $google.provider) "subject_token_type" "urn:ietf:params:oauth:token-type:jwt" "token_url" "https://sts.googleapis.com/v1/token" "credential_source" (dict "file" "/var/run/secrets/oci-proxy/identity/google" "format" (dict "type" "text")) }}
  {{- with $google.serviceAccount }}
  {{- $_ := set $account "service_account_impersonation_url" (printf "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/%s:generateAccessToken" .) }}
  {{- end }}
  google.json: |
    {{- toPrettyJson $account | nindent 4 }}
{{- end }}
{{- end -}}

{{- /* oci-proxy.toolLabels: the labels of a pod of {root, component, values}. */ -}}
{{- define "oci-proxy.toolLabels" -}}
{{ include "oci-proxy.selector" . }}
{{- with .values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /*
oci-proxy.tool: the pod of {root, component, values, name, args}; also env, restart (Never), ports (YAML of ports and probes),
mounts and volumes.
*/ -}}
{{- define "oci-proxy.tool" -}}
{{- $identity := include "oci-proxy.identity" . | fromYaml -}}
{{- $tokens := include "oci-proxy.identityVolume" (dict "identity" $identity "name" .name) -}}
{{- with .restart -}}
restartPolicy: {{ . }}
{{ end -}}
serviceAccountName: {{ .name }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: 30 # it ends within seconds and keeps what it has done
securityContext:
  {{- include "oci-proxy.podSecurity" . | nindent 2 }}
{{- with include "oci-proxy.placement" . }}
{{ . }}
{{- end }}
containers:
  - name: {{ .component }}
    image: {{ include "oci-proxy.image" (dict "root" .root "image" .root.Values.tools "key" "tools") }}
    imagePullPolicy: {{ .root.Values.tools.pullPolicy }}
    args:
      {{- toYaml .args | nindent 6 }}
    env:
      - {name: TMPDIR, value: /spool}
      {{- with include "oci-proxy.memoryLimit" (dig "limits" "memory" "" .values.resources) }}
      - {name: GOMEMLIMIT, value: {{ . }}}
      {{- end }}
      {{- with .env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- with include "oci-proxy.identityEnv" $identity | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- with .values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with .ports }}
    {{- . | nindent 4 }}
    {{- end }}
    resources:
      {{- /* The spool is on the node's disk: a request for it keeps the pod from being evicted. */}}
      {{- $disk := dict "ephemeral-storage" .values.spool }}
      {{- $more := dict "requests" $disk "limits" $disk }}
      {{- toYaml (mergeOverwrite (deepCopy $more) (deepCopy .values.resources)) | nindent 6 }}
    securityContext:
      {{- include "oci-proxy.containerSecurity" . | nindent 6 }}
    volumeMounts:
      - {name: config, mountPath: /etc/oci-proxy, readOnly: true}
      - {name: spool, mountPath: /spool}
      {{- if $tokens }}
      - {name: identity, mountPath: /var/run/secrets/oci-proxy/identity, readOnly: true}
      {{- end }}
      {{- with .mounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: config
    configMap: {name: {{ include "oci-proxy.fullname" .root }}}
  - name: spool
    emptyDir: {sizeLimit: {{ .values.spool }}}
  {{- with $tokens }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with .volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* oci-proxy.cronJob: a CronJob around oci-proxy.tool, for the same dict. */ -}}
{{- define "oci-proxy.cronJob" -}}
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ .name }}
  labels:
    {{- include "oci-proxy.labels" . | nindent 4 }}
spec:
  schedule: {{ .values.schedule | quote }}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 3600
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 1
      template:
        metadata:
          labels:
            {{- include "oci-proxy.toolLabels" . | nindent 12 }}
        spec:
          {{- include "oci-proxy.tool" (merge (dict "restart" "Never") .) | nindent 10 }}
{{- end -}}
