{{- /* What the server's pod and the check before an upgrade read: {root, config}, the name of the ConfigMap. */ -}}
{{- define "oci-proxy.readVolumes" -}}
- name: config
  configMap: {name: {{ .config }}}
{{- with .root.Values.tls.secretName }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "oci-proxy.readMounts" -}}
- {name: config, mountPath: /etc/oci-proxy, readOnly: true} # a directory: Kubernetes never updates a subPath
{{- if .Values.tls.secretName }}
- {name: tls, mountPath: /var/run/oci-proxy/tls, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* oci-proxy.placement: where pods run. {root, values} */ -}}
{{- define "oci-proxy.placement" -}}
{{- $where := dict -}}
{{- with .root.Values.imagePullSecrets }}{{ $_ := set $where "imagePullSecrets" . }}{{ end -}}
{{- with .values.nodeSelector }}{{ $_ := set $where "nodeSelector" . }}{{ end -}}
{{- with .values.tolerations }}{{ $_ := set $where "tolerations" . }}{{ end -}}
{{- if $where }}{{ toYaml $where }}{{ end -}}
{{- end -}}
