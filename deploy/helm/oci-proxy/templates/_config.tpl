{{- /*
oci-proxy.behind: client.behind of the config, as it follows from how the server is exposed (docs/client-address.md). A wrong
rule makes each client look like the load balancer, or lets clients write their own address. So a rule that contradicts the
exposure is refused.
*/ -}}
{{- define "oci-proxy.behind" -}}
{{- $e := .Values.exposure -}}
{{- /* the last entry, which the ingress or gateway writes itself */ -}}
{{- $lastEntry := dict "header" "X-Forwarded-For" "entry" 1 -}}
{{- $googleGateways := list "gke-l7-global-external-managed" "gke-l7-global-external-managed-mc" "gke-l7-gxlb" "gke-l7-gxlb-mc" -}}
{{- $derived := dict "preset" "direct" -}}
{{- if eq $e.type "loadBalancer" -}}
{{- with $e.loadBalancer.proxyProtocolFrom -}}
{{- $derived = dict "proxyProtocol" true "trusted" . -}}
{{- end -}}
{{- else if eq $e.type "ingress" -}}
{{- $derived = get (dict "alb" (dict "preset" "aws-alb") "gce" (dict "preset" "google-lb")) $e.ingress.className | default $lastEntry -}}
{{- else if eq $e.type "gateway" -}}
{{- $derived = ternary (dict "preset" "google-lb") $lastEntry (has $e.gateway.className $googleGateways) -}}
{{- end -}}
{{- $behind := $derived -}}
{{- with $e.behind -}}
{{- $behind = . -}}
{{- if .preset -}}
{{- if and (eq .preset "direct") (has $e.type (list "ingress" "gateway")) -}}
{{- fail (printf "exposure.behind: direct contradicts exposure.type %s: every client would have the address of the %s" $e.type $e.type) -}}
{{- end -}}
{{- if and (has .preset (list "aws-alb" "google-lb" "cloud-run")) (eq $e.type "loadBalancer") -}}
{{- fail (printf "exposure.behind: %s contradicts exposure.type loadBalancer: that load balancer writes no header, so clients could; use exposure.type ingress or gateway, or leave exposure.behind out" .preset) -}}
{{- end -}}
{{- end -}}
{{- if and .proxyProtocol (has $e.type (list "ingress" "gateway")) -}}
{{- fail (printf "exposure.behind: proxyProtocol contradicts exposure.type %s: an %s sends HTTP" $e.type $e.type) -}}
{{- end -}}
{{- if and (eq $e.type "loadBalancer") $e.loadBalancer.proxyProtocolFrom -}}
{{- fail "exposure.behind contradicts exposure.loadBalancer.proxyProtocolFrom: set one of them" -}}
{{- end -}}
{{- end -}}
{{- $stated := dig "client" "behind" nil .Values.config -}}
{{- if kindIs "string" $stated -}}
{{- $stated = dict "preset" $stated -}}
{{- end -}}
{{- if and $stated (ne (toJson $stated) (toJson $behind)) -}}
{{- fail (printf "config.client.behind is %s, but exposure.type %s makes it %s: leave it out of config, or set exposure.behind" (toJson $stated) $e.type (toJson $behind)) -}}
{{- end -}}
{{- toYaml $behind -}}
{{- end -}}

{{- /* oci-proxy.managed: refuses a key of the config that the chart sets. {key, value, why} */ -}}
{{- define "oci-proxy.managed" -}}
{{- if .value -}}
{{- fail (printf "config.%s: the chart sets this key itself (%s): leave it out" .key .why) -}}
{{- end -}}
{{- end -}}

{{- /* oci-proxy.config: the config file of the server and of oci-proxyctl. */ -}}
{{- define "oci-proxy.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- include "oci-proxy.managed" (dict "key" "listen" "value" $config.listen "why" "the Service leads to port 8080") -}}
{{- include "oci-proxy.managed" (dict "key" "admin" "value" $config.admin "why" "the admin Service leads to port 9090") -}}
{{- include "oci-proxy.managed" (dict "key" "ranges.cache" "value" (dig "ranges" "cache" "" $config) "why" "a volume of the pod") -}}
{{- $admin := printf "%s-admin" (include "oci-proxy.fullname" .) -}}
{{- $space := .Release.Namespace -}}
{{- $hosts := list $admin (printf "%s.%s" $admin $space) (printf "%s.%s.svc" $admin $space) (printf "%s.%s.svc.cluster.local" $admin $space) -}}
{{- $_ := set $config "listen" ":8080" -}}
{{- $_ = set $config "admin" (dict "listen" ":9090" "hosts" $hosts) -}}
{{- $_ = set $config "ranges" (merge (dict "cache" "/var/cache/oci-proxy") (default dict $config.ranges)) -}}
{{- $_ = set $config "client" (merge (dict "behind" (include "oci-proxy.behind" . | fromYaml)) (omit (default dict $config.client) "behind")) -}}
{{- if .Values.tls.secretName -}}
{{- if dig "tls" "cert" "" $config -}}
{{- fail "config.tls.cert and tls.secretName are two certificates: set one of them" -}}
{{- end -}}
{{- $_ = set $config "tls" (merge (dict "cert" "/var/run/oci-proxy/tls/tls.crt" "key" "/var/run/oci-proxy/tls/tls.key") (default dict $config.tls)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* oci-proxy.files: the data of the ConfigMap, as JSON: YAML in a template would lose the last line break. */ -}}
{{- define "oci-proxy.files" -}}
{{- if hasKey .Values.files "config.yaml" -}}
{{- fail "files: config.yaml is the name of the config itself: take another" -}}
{{- end -}}
{{- $files := dict "config.yaml" (printf "%s\n" (include "oci-proxy.config" .)) -}}
{{- range $name, $text := .Values.files -}}
{{- $_ := set $files $name $text -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{- /*
oci-proxy.fallback: the files of the release before, as far as the cluster knows it; for a first release, or without a
cluster (helm template), the one of this release. A config that somebody edited past Helm counts for nothing: its hash is not
the one in the annotation, and nothing checked it.
*/ -}}
{{- define "oci-proxy.fallback" -}}
{{- $new := include "oci-proxy.files" . | fromJson -}}
{{- $old := $new -}}
{{- $name := include "oci-proxy.fullname" . -}}
{{- $live := lookup "v1" "ConfigMap" .Release.Namespace $name -}}
{{- $kept := lookup "v1" "ConfigMap" .Release.Namespace (printf "%s-fallback" $name) -}}
{{- if $kept -}}
{{- $old = $kept.data -}}
{{- end -}}
{{- if $live -}}
{{- $stated := dig "metadata" "annotations" "oci-proxy/sha256" "" $live -}}
{{- if and (eq $stated (sha256sum (get $live.data "config.yaml"))) (ne (toJson $live.data) (toJson $new)) -}}
{{- $old = $live.data -}}
{{- end -}}
{{- end -}}
{{- toJson $old -}}
{{- end -}}

{{- /*
oci-proxy.published: the environment of a server that follows a publication, as a YAML list; [] for one that reads the
ConfigMap. The ConfigMap of the release is the fallback of new pods: the check before the upgrade has read it.
*/ -}}
{{- define "oci-proxy.published" -}}
{{- $p := .Values.publication -}}
{{- $env := list -}}
{{- if $p.url -}}
{{- if not $p.deployment -}}
{{- fail "publication.deployment is not set: give the name that oci-proxyctl config publish gets with --deployment" -}}
{{- end -}}
{{- if not $p.keys -}}
{{- fail "publication.keys is empty: give the public root key; oci-proxyctl key show prints it" -}}
{{- end -}}
{{- $env = append $env (dict "name" "OCI_PROXY_DEPLOYMENT" "value" $p.deployment) -}}
{{- $env = append $env (dict "name" "OCI_PROXY_RING" "value" $p.ring) -}}
{{- $env = append $env (dict "name" "OCI_PROXY_CONFIG_KEYS" "value" (join "," $p.keys)) -}}
{{- $env = append $env (dict "name" "OCI_PROXY_LAST_GOOD" "value" (ternary "/var/lib/oci-proxy" "/var/cache/oci-proxy/last-good" (not (empty $p.lastGood)))) -}}
{{- $env = append $env (dict "name" "OCI_PROXY_CONFIG_FALLBACK" "value" "/etc/oci-proxy/config.yaml") -}}
{{- else if or $p.deployment $p.keys $p.lastGood -}}
{{- fail "publication.url is not set, so the other values of publication would do nothing: set it, or leave them out" -}}
{{- end -}}
{{- toYaml $env -}}
{{- end -}}

{{- define "oci-proxy.tls" -}}
{{- if or .Values.tls.secretName (dig "tls" "cert" "" .Values.config) -}}true{{- end -}}
{{- end -}}
