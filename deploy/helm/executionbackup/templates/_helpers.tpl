{{/* The name of everything: the release's, with the chart's in it. */}}
{{- define "executionbackup.name" -}}
{{- $name := .Release.Name }}
{{- if not (contains .Chart.Name $name) }}{{ $name = print $name "-" .Chart.Name }}{{ end }}
{{- $name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What selects the pod: its release's alone, so that two can be in one namespace. */}}
{{- define "executionbackup.selector" -}}
app.kubernetes.io/name: {{ include "executionbackup.name" . }}
{{- end }}

{{- define "executionbackup.labels" -}}
{{ include "executionbackup.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* executionbackup.yaml */}}
{{- define "executionbackup.config" -}}
{{- $secrets := "/run/secrets/executionbackup/" }}
{{- $c := dict "nodes" .Values.nodes "jwt_secret" (print $secrets "jwt.hex") }}
{{- $_ := set $c "admin_addr" "[::]:7001" }}
{{- $_ := set $c "log_format" "json" }}
{{- $_ := set $c "watch" true }}
{{- if .Values.secret.adminToken }}{{ $_ := set $c "admin_token_file" (print $secrets "admin.token") }}{{ end }}
{{- if .Values.tls.secretName }}
{{- $_ := set $c "tls_cert_file" "/run/secrets/tls/tls.crt" }}
{{- $_ := set $c "tls_key_file" "/run/secrets/tls/tls.key" }}
{{- end }}
{{- with .Values.redis }}
{{- if .url }}{{ $_ := set $c "state_url" .url }}{{ end }}
{{- if .prefix }}{{ $_ := set $c "state_prefix" .prefix }}{{ end }}
{{- if .user }}{{ $_ := set $c "state_user" .user }}{{ end }}
{{- if .passwordKey }}{{ $_ := set $c "state_password_file" (print $secrets .passwordKey) }}{{ end }}
{{- if .caKey }}{{ $_ := set $c "state_ca_file" (print $secrets .caKey) }}{{ end }}
{{- end }}
{{- toYaml (mergeOverwrite $c .Values.settings) }}
{{- end }}

{{/* The scheme of a probe, beside the default. */}}
{{- define "executionbackup.scheme" -}}
{{- if .Values.tls.secretName }}, scheme: HTTPS{{ end }}
{{- end }}

{{/* The ports of the nodes, for the NetworkPolicy. */}}
{{- define "executionbackup.nodePorts" -}}
{{- $ports := list }}
{{- range .Values.nodes }}
{{- $default := ternary ":443" ":80" (hasPrefix "https" .url) }}
{{- $ports = append $ports (regexFind ":[0-9]+$" (urlParse .url).host | default $default | trimPrefix ":") }}
{{- end }}
{{- range $ports | uniq | sortAlpha }}
- {protocol: TCP, port: {{ . }}}
{{- end }}
{{- end }}

{{/* The ports of Redis, of its Sentinels, and of the Redis that those name. */}}
{{- define "executionbackup.redisPorts" -}}
{{- $hosts := regexReplaceAll "^[a-z]+://|[/?].*$" .Values.redis.url "" }}
{{- $sentinel := contains "master=" .Values.redis.url }}
{{- $ports := ternary (list "6379") list $sentinel }}
{{- range splitList "," $hosts }}
{{- $ports = append $ports (regexFind ":[0-9]+$" (regexReplaceAll "^\\[.*\\]" . "") | default (ternary ":26379" ":6379" $sentinel) | trimPrefix ":") }}
{{- end }}
{{- range $ports | uniq | sortAlpha }}
- {protocol: TCP, port: {{ . }}}
{{- end }}
{{- end }}
