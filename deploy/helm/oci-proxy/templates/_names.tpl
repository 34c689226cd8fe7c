{{- define "oci-proxy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* At most 40 characters: the longest suffix and the number of a CronJob's pod still fit into 63. */ -}}
{{- define "oci-proxy.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "oci-proxy.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "oci-proxy.selector" -}}
app.kubernetes.io/name: {{ include "oci-proxy.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "oci-proxy.labels" -}}
{{ include "oci-proxy.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* oci-proxy.image: the reference of an image. {root, image, key} */ -}}
{{- define "oci-proxy.image" -}}
{{- $repository := required (printf "%s.repository is not set: push the image with `make image`, and name it there" .key) .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "oci-proxy.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "oci-proxy.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* oci-proxy.seconds: a duration of the config ("1m30s") in whole seconds, rounded up. */ -}}
{{- define "oci-proxy.seconds" -}}
{{- $ms := 0.0 -}}
{{- $units := dict "h" 3600000.0 "m" 60000.0 "s" 1000.0 "ms" 1.0 -}}
{{- range regexFindAll "[0-9.]+(h|ms|m|s)" (toString .) -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $ms = addf $ms (mulf (float64 (trimSuffix $unit .)) (get $units $unit)) -}}
{{- end -}}
{{- ceil (divf $ms 1000.0) | int -}}
{{- end -}}

{{- /* oci-proxy.memoryLimit: nine tenths of a limit in Mi or Gi, for GOMEMLIMIT; nothing for other units. */ -}}
{{- define "oci-proxy.memoryLimit" -}}
{{- $limit := toString . -}}
{{- if hasSuffix "Gi" $limit -}}
{{- printf "%dMiB" (int (mulf (float64 (trimSuffix "Gi" $limit)) 921.6)) -}}
{{- else if hasSuffix "Mi" $limit -}}
{{- printf "%dMiB" (int (mulf (float64 (trimSuffix "Mi" $limit)) 0.9)) -}}
{{- end -}}
{{- end -}}
