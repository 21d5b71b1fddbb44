{{/* The file of settings that all roles share; what is of one role is in its arguments. */}}
{{- define "portico.config" -}}
{{- $v := .Values -}}
{{- $top := dict -}}
{{- with $v.connectUrl }}{{ $_ := set $top "connect_url" . }}{{ end -}}
{{- with $v.platformUrl }}{{ $_ := set $top "platform_url" . }}{{ end -}}
{{- with $v.sessionDomain }}{{ $_ := set $top "session_domain" . }}{{ end -}}
{{- with $v.routing }}{{ $_ := set $top "routing" . }}{{ end -}}
{{- /* An empty list says none, and no list says all. */ -}}
{{- if kindIs "slice" $v.allowedWorkspaces }}{{ $_ := set $top "allowed_workspaces" $v.allowedWorkspaces }}{{ end -}}
{{- with $v.upstreamNetworks }}{{ $_ := set $top "upstream_networks" . }}{{ end -}}

{{- $proxy := dict "io" $v.proxy.io "workers" (toString $v.proxy.workers) "drain_timeout" (printf "%ds" (int $v.proxy.drainSeconds)) -}}
{{- with $v.proxy.trustedNetworks }}{{ $_ := set $proxy "trusted_networks" . }}{{ end -}}
{{- with $v.proxy.proxyProtocol }}{{ $_ := set $proxy "proxy_protocol" . }}{{ end -}}

{{- $access := dict "mode" $v.access.mode -}}
{{- with $v.access.clientId }}{{ $_ := set $access "client_id" . }}{{ end -}}
{{- with $v.access.webhookUrl }}{{ $_ := set $access "webhook_url" . }}{{ end -}}
{{- if $v.access.caConfigMap }}{{ $_ := set $access "ca_file" "/etc/portico/platform-ca/ca.crt" }}{{ end -}}

{{- $store := dict -}}
{{- if include "portico.hasRedis" . -}}
{{- with $v.redis.url }}{{ $_ := set $store "url" . }}{{ end -}}
{{- if $v.redis.bundled.enabled }}{{ $_ := set $store "url" (printf "redis://%s-redis:6379" (include "portico.fullname" .)) }}{{ end -}}
{{- with $v.redis.username }}{{ $_ := set $store "username" . }}{{ end -}}
{{- with $v.redis.prefix }}{{ $_ := set $store "prefix" . }}{{ end -}}
{{- if include "portico.isGiven" $v.redis.password }}{{ $_ := set $store "password_file" "/run/portico/secrets/redis-password" }}{{ end -}}
{{- if $v.redis.tls.existingSecret -}}
{{- if $v.redis.tls.caKey }}{{ $_ := set $store "ca_file" "/etc/portico/redis-tls/ca.crt" }}{{ end -}}
{{- if $v.redis.tls.certKey }}{{ $_ := set $store "cert_file" "/etc/portico/redis-tls/tls.crt" }}{{ end -}}
{{- if $v.redis.tls.keyKey }}{{ $_ := set $store "key_file" "/etc/portico/redis-tls/tls.key" }}{{ end -}}
{{- end -}}
{{- end -}}

{{- $sections := dict "proxy" $proxy "access" $access "store" $store "accounting" (dict "source" (include "portico.accounting" .)) "quotas" (dict) "control" (dict) "log" (dict) -}}
{{- $_ := set $sections "management" (dict "listen" (printf "%s:9090" $v.listenHost)) -}}
{{- if $v.quotas.policy }}{{ $_ := set $sections "quotas" (dict "policy" "/etc/portico/quotas/policy.json") }}{{ end -}}
{{- range $section, $keys := $v.settings -}}
{{- $_ := set $sections $section (merge (dict) (index $sections $section) $keys) -}}
{{- end -}}

# Made by the chart; every key is in deploy/SETTINGS.md.
{{- range $key, $value := $top }}
{{ $key }} = {{ toRawJson $value }}
{{- end }}
{{- range $section, $keys := $sections }}
{{- if $keys }}

[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ toRawJson $value }}
{{- end }}
{{- end }}
{{- end }}
{{ end -}}

{{/* What is only of the roles with a data plane, as arguments. */}}
{{- define "portico.edgeArguments" -}}
{{- $v := .Values -}}
{{- $http := printf "%s:8080" $v.listenHost -}}
- --proxy-http={{ ternary $http "off" (eq (include "portico.hasHttp" .) "true") }}
{{- if $v.tls.secrets }}
- --proxy-https={{ $v.listenHost }}:8443
{{- $pairs := list }}
{{- range $at, $_ := $v.tls.secrets }}
{{- $pairs = append $pairs (printf "/etc/portico/tls/%d/tls.crt:/etc/portico/tls/%d/tls.key" $at $at) }}
{{- end }}
- --tls-certificates={{ join "," $pairs }}
{{- end }}
{{- if include "portico.isGiven" $v.access.registrationToken }}
- --access-registration-token-file=/run/portico/secrets/registration-token
{{- end }}
{{- if include "portico.isGiven" $v.access.clientSecret }}
- --access-client-secret-file=/run/portico/secrets/client-secret
{{- end }}
{{- if include "portico.isGiven" $v.access.webhookToken }}
- --access-webhook-token-file=/run/portico/secrets/webhook-token
{{- end }}
{{- end -}}

{{/* What is only of the roles with the API. */}}
{{- define "portico.apiArguments" -}}
{{- $v := .Values -}}
- --control-listen={{ $v.listenHost }}:7080
{{- if include "portico.isGiven" $v.control.token }}
- --control-token-file=/run/portico/secrets/token
{{- end }}
{{- if $v.control.tls.existingSecret }}
- --control-tls-cert=/etc/portico/control-tls/tls.crt
- --control-tls-key=/etc/portico/control-tls/tls.key
{{- if $v.control.tls.clientCaKey }}
- --control-client-ca=/etc/portico/control-tls/clients.crt
{{- end }}
{{- end }}
{{- end -}}
