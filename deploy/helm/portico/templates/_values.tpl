{{/* What values mean where two can say it, and which contradict each other. An answer is `true`, or
nothing. */}}

{{/* One of today's variables, as text. */}}
{{- define "portico.variable" -}}
{{- $value := index .root.Values.environment .name -}}
{{- if kindIs "string" $value -}}{{ $value }}{{- else if not (kindIs "invalid" $value) -}}{{ toRawJson $value }}{{- end -}}
{{- end -}}

{{- define "portico.connectUrl" -}}
{{- $today := include "portico.variable" (dict "root" . "name" "CONNECT_PROXY_URL") -}}
{{- $hint := "is required: the URL of the connect host, as in --set connectUrl=https://connect.example.com (or environment.CONNECT_PROXY_URL)" -}}
{{- default $today .Values.connectUrl | required (printf "connectUrl %s" $hint) -}}
{{- end -}}

{{- define "portico.platformUrl" -}}
{{- $platform := include "portico.variable" (dict "root" . "name" "PLATFORM_URL") -}}
{{- $tower := include "portico.variable" (dict "root" . "name" "TOWER_SERVER_URL") -}}
{{- coalesce .Values.platformUrl $platform $tower -}}
{{- end -}}

{{- define "portico.connectHost" -}}
{{- (urlParse (include "portico.connectUrl" .)).hostname -}}
{{- end -}}

{{- define "portico.sessionDomain" -}}
{{- default (include "portico.connectHost" .) .Values.sessionDomain -}}
{{- end -}}

{{/* Whether sessions have hosts of their own, and so want a wildcard. */}}
{{- define "portico.bySubdomain" -}}
{{- $today := include "portico.variable" (dict "root" . "name" "TOWER_DATA_STUDIO_ENABLE_PATH_ROUTING") | trim | lower -}}
{{- if .Values.routing -}}
{{- if has "subdomain" .Values.routing -}}true{{- end -}}
{{- else if not (has $today (list "true" "1" "yes" "on")) -}}true{{- end -}}
{{- end -}}

{{- define "portico.hasRedis" -}}
{{- $today := include "portico.variable" (dict "root" . "name" "CONNECT_REDIS_ADDRESS") -}}
{{- if or .Values.redis.url .Values.redis.bundled.enabled $today -}}true{{- end -}}
{{- end -}}

{{/* Whether there is one pod at most: an embedded store is of one process. */}}
{{- define "portico.isSingle" -}}
{{- if not (include "portico.hasRedis" .) -}}true{{- end -}}
{{- end -}}

{{- define "portico.isOpenShift" -}}
{{- $wanted := toString .Values.openshift -}}
{{- if eq $wanted "auto" -}}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" -}}true{{- end -}}
{{- else if eq $wanted "true" -}}true{{- end -}}
{{- end -}}

{{/* YAML reads `off` as false. */}}
{{- define "portico.accounting" -}}
{{- ternary "off" (toString .Values.accounting.source) (eq (toString .Values.accounting.source) "false") -}}
{{- end -}}

{{- define "portico.hasHttp" -}}
{{- if or (not .Values.tls.secrets) .Values.tls.plainHttp -}}true{{- end -}}
{{- end -}}

{{/* The port of the Service that an ingress or a route sends to. */}}
{{- define "portico.backendPort" -}}
{{- if include "portico.hasHttp" . -}}{{ .Values.service.httpPort }}{{- else -}}{{ .Values.service.httpsPort }}{{- end -}}
{{- end -}}

{{/* The values of `secret` (value, existingSecret, key): whether it is given. */}}
{{- define "portico.isGiven" -}}
{{- if or .value .existingSecret -}}true{{- end -}}
{{- end -}}

{{/* What the schema cannot say. */}}
{{- define "portico.check" -}}
{{- $values := .Values -}}
{{- if not (include "portico.connectHost" .) -}}
{{- fail (printf "connectUrl: `%s` names no host; write https://connect.example.com" (include "portico.connectUrl" .)) -}}
{{- end -}}
{{- $today := include "portico.variable" (dict "root" . "name" "CONNECT_PROXY_URL") -}}
{{- if and $values.connectUrl $today (ne (trimSuffix "/" $values.connectUrl) (trimSuffix "/" $today)) -}}
{{- fail (printf "connectUrl is `%s`, and environment.CONNECT_PROXY_URL `%s`: keep one of the two" $values.connectUrl $today) -}}
{{- end -}}
{{- range $name, $_ := $values.environment -}}
{{- if hasPrefix "PORTICO_" $name -}}
{{- fail (printf "environment.%s would win over what the chart sets: write it below settings" $name) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.mode "split") (not (include "portico.hasRedis" .)) -}}
{{- fail "mode split needs a Redis that all share: set redis.url, environment.CONNECT_REDIS_ADDRESS, or redis.bundled.enabled for a trial" -}}
{{- end -}}
{{- if .Values.redis.bundled.enabled -}}
{{- if or .Values.redis.url (include "portico.variable" (dict "root" . "name" "CONNECT_REDIS_ADDRESS")) -}}
{{- fail "redis.bundled.enabled makes a Redis, and redis.url (or CONNECT_REDIS_ADDRESS) names another: keep one of the two" -}}
{{- end -}}
{{- if not (include "portico.isGiven" .Values.redis.password) -}}
{{- fail "redis.bundled.enabled needs redis.password.value or redis.password.existingSecret" -}}
{{- end -}}
{{- end -}}
{{- if and (not (include "portico.hasRedis" .)) (or .Values.redis.username (include "portico.isGiven" .Values.redis.password)) -}}
{{- fail "redis.username and redis.password are of no use without redis.url" -}}
{{- end -}}
{{- if include "portico.isSingle" . -}}
{{- if eq .Values.proxy.kind "DaemonSet" -}}
{{- fail "proxy.kind DaemonSet needs a Redis: an embedded store is of one process" -}}
{{- end -}}
{{- if .Values.proxy.autoscaling.enabled -}}
{{- fail "proxy.autoscaling needs a Redis: an embedded store is of one process" -}}
{{- end -}}
{{- end -}}
{{- range $path, $secret := dict "access.registrationToken" .Values.access.registrationToken "access.clientSecret" .Values.access.clientSecret "access.webhookToken" .Values.access.webhookToken "redis.password" .Values.redis.password "control.token" .Values.control.token -}}
{{- if and $secret.value $secret.existingSecret -}}
{{- fail (printf "%s has a value and an existingSecret: keep one of the two" $path) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.access.clientId (not (include "portico.isGiven" .Values.access.clientSecret)) -}}
{{- fail "access.clientId needs access.clientSecret.value or .existingSecret" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (include "portico.bySubdomain" .) (regexMatch "^[0-9.]+$|:" (include "portico.sessionDomain" .)) -}}
{{- fail "an address has no subdomains: give connectUrl a name, or set routing to [path]" -}}
{{- end -}}
{{- if and .Values.proxy.proxyProtocol (or .Values.ingress.enabled .Values.gateway.enabled) -}}
{{- fail "proxy.proxyProtocol is for a TCP balancer: an ingress or a gateway sends no such header" -}}
{{- end -}}
{{- end -}}
