{{/* A pod of Portico. The argument has `root`; `role`, which is serve, proxy or control; and `of`, the
values of the workload. */}}

{{/* The secrets that a role reads, each as a file: name, and the values about it. */}}
{{- define "portico.secretFiles" -}}
{{- $v := .root.Values -}}
{{- $files := dict -}}
{{- if ne .role "control" -}}
{{- $_ := set $files "registration-token" $v.access.registrationToken -}}
{{- $_ := set $files "client-secret" $v.access.clientSecret -}}
{{- $_ := set $files "webhook-token" $v.access.webhookToken -}}
{{- end -}}
{{- if ne .role "proxy" -}}
{{- $_ := set $files "token" $v.control.token -}}
{{- end -}}
{{- if include "portico.hasRedis" .root -}}
{{- $_ := set $files "redis-password" $v.redis.password -}}
{{- end -}}
{{- $given := dict -}}
{{- range $name, $secret := $files -}}
{{- if include "portico.isGiven" $secret }}{{ $_ := set $given $name $secret }}{{ end -}}
{{- end -}}
{{- toYaml $given -}}
{{- end -}}

{{/* Those of today's variables that are secrets. */}}
{{- define "portico.secretVariables" -}}
{{- $found := list -}}
{{- range $name, $value := .Values.environment -}}
{{- if and (regexMatch "(PASSWORD|TOKEN|SECRET|KEY_VALUE_BASE64|AUTH_KEY)$" $name) (toString $value) }}{{ $found = append $found $name }}{{ end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end -}}

{{/* The embedded store keeps its data here, a Redis' replicas what they last saw. */}}
{{- define "portico.dataVolume" -}}
- name: data
{{- if and (include "portico.isSingle" .root) .root.Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ default (include "portico.fullname" .root) .root.Values.persistence.existingClaim }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end -}}

{{- define "portico.volumes" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
- name: settings
  configMap:
    name: {{ include "portico.fullname" $root }}
{{ include "portico.dataVolume" . }}
{{- $secrets := include "portico.secretFiles" . | fromYaml }}
{{- if $secrets }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- range $name, $secret := $secrets }}
      - secret:
          name: {{ default (include "portico.fullname" $root) $secret.existingSecret }}
          items:
            - key: {{ ternary $secret.key $name (ne $secret.existingSecret "") }}
              path: {{ $name }}
      {{- end }}
{{- end }}
{{- if $v.quotas.policy }}
- name: quotas
  configMap:
    name: {{ include "portico.fullname" $root }}-quotas
{{- end }}
{{- if ne .role "control" }}
{{- range $at, $name := $v.tls.secrets }}
- name: tls-{{ $at }}
  secret:
    secretName: {{ $name }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- if and $v.control.tls.existingSecret (ne .role "proxy") }}
- name: control-tls
  secret:
    secretName: {{ $v.control.tls.existingSecret }}
    defaultMode: 0440
    items:
      - {key: tls.crt, path: tls.crt}
      - {key: tls.key, path: tls.key}
      {{- with $v.control.tls.clientCaKey }}
      - {key: {{ . | quote }}, path: clients.crt}
      {{- end }}
{{- end }}
{{- if and $v.redis.tls.existingSecret (include "portico.hasRedis" $root) }}
- name: redis-tls
  secret:
    secretName: {{ $v.redis.tls.existingSecret }}
    defaultMode: 0440
    items:
      {{- with $v.redis.tls.caKey }}
      - {key: {{ . | quote }}, path: ca.crt}
      {{- end }}
      {{- with $v.redis.tls.certKey }}
      - {key: {{ . | quote }}, path: tls.crt}
      {{- end }}
      {{- with $v.redis.tls.keyKey }}
      - {key: {{ . | quote }}, path: tls.key}
      {{- end }}
{{- end }}
{{- with $v.access.caConfigMap }}
- name: platform-ca
  configMap:
    name: {{ . }}
    items:
      - {key: {{ $v.access.caKey | quote }}, path: ca.crt}
{{- end }}
{{- with .of.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "portico.mounts" -}}
{{- $v := .root.Values -}}
- {name: settings, mountPath: /etc/portico/settings, readOnly: true}
- {name: data, mountPath: /var/lib/portico}
{{- if include "portico.secretFiles" . | fromYaml }}
- {name: secrets, mountPath: /run/portico/secrets, readOnly: true}
{{- end }}
{{- if $v.quotas.policy }}
- {name: quotas, mountPath: /etc/portico/quotas, readOnly: true}
{{- end }}
{{- if ne .role "control" }}
{{- range $at, $_ := $v.tls.secrets }}
- {name: tls-{{ $at }}, mountPath: /etc/portico/tls/{{ $at }}, readOnly: true}
{{- end }}
{{- end }}
{{- if and $v.control.tls.existingSecret (ne .role "proxy") }}
- {name: control-tls, mountPath: /etc/portico/control-tls, readOnly: true}
{{- end }}
{{- if and $v.redis.tls.existingSecret (include "portico.hasRedis" .root) }}
- {name: redis-tls, mountPath: /etc/portico/redis-tls, readOnly: true}
{{- end }}
{{- if $v.access.caConfigMap }}
- {name: platform-ca, mountPath: /etc/portico/platform-ca, readOnly: true}
{{- end }}
{{- with .of.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "portico.environment" -}}
{{- $root := .root -}}
{{- if ne .role "proxy" }}
{{- if include "portico.isGiven" $root.Values.control.token }}
# For the client in this container: kubectl exec … -- portico session list
- name: PORTICO_TOKEN_FILE
  value: /run/portico/secrets/token
{{- end }}
{{- end }}
{{- $secrets := include "portico.secretVariables" $root | fromYamlArray }}
{{- range $name, $_ := $root.Values.environment }}
- name: {{ $name }}
{{- if has $name $secrets }}
  valueFrom:
    secretKeyRef:
      name: {{ include "portico.fullname" $root }}
      key: {{ $name }}
{{- else }}
  value: {{ include "portico.variable" (dict "root" $root "name" $name) | quote }}
{{- end }}
{{- end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "portico.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- if and (eq (include "portico.accounting" .root) "ebpf") (ne .role "control") }}
  # Kubernetes gives added capabilities to uid 0 only; without the others it is no root.
  add: [BPF, NET_ADMIN]
runAsUser: 0
runAsNonRoot: false
{{- else }}
runAsNonRoot: true
{{- end }}
{{- end -}}

{{- define "portico.ports" -}}
{{- if ne .role "control" }}
{{- if include "portico.hasHttp" .root }}
- {name: http, containerPort: 8080}
{{- end }}
{{- if .root.Values.tls.secrets }}
- {name: https, containerPort: 8443}
{{- end }}
{{- end }}
{{- if ne .role "proxy" }}
- {name: api, containerPort: 7080}
{{- end }}
- {name: management, containerPort: 9090}
{{- end -}}

{{- define "portico.topology" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "portico.selector" $.root | nindent 6 }}
      app.kubernetes.io/component: {{ $.role }}
  # Of one release only, or those that a rollout replaces would count.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end -}}

{{- define "portico.pod" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
metadata:
  annotations:
    # A change of either rolls the pods.
    checksum/settings: {{ include "portico.config" $root | sha256sum }}
    checksum/secrets: {{ include "portico.secretData" $root | sha256sum }}
    {{- with .of.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "portico.selector" $root | nindent 4 }}
    {{- include "portico.podLabels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with .of.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "portico.serviceAccountName" $root }}
  automountServiceAccountToken: false
  # Links are variables called PORTICO_…, which are nobody's settings.
  enableServiceLinks: false
  {{- if eq .role "control" }}
  terminationGracePeriodSeconds: {{ add $v.proxy.preStopSeconds 15 }}
  {{- else }}
  terminationGracePeriodSeconds: {{ add $v.proxy.preStopSeconds $v.proxy.drainSeconds 15 }}
  {{- end }}
  securityContext:
    {{- if not (include "portico.isOpenShift" $root) }}
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    {{- end }}
    seccompProfile:
      type: {{ $v.seccomp.type }}
      {{- if eq $v.seccomp.type "Localhost" }}
      localhostProfile: {{ $v.seccomp.localhostProfile }}
      {{- end }}
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .of.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .of.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .of.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml .of.topologySpreadConstraints | nindent 4 }}
  {{- else if and (not (include "portico.isSingle" $root)) (ne (default "Deployment" .of.kind) "DaemonSet") }}
  topologySpreadConstraints:
    {{- include "portico.topology" . | trim | nindent 4 }}
  {{- end }}
  containers:
    - name: portico
      image: {{ include "portico.image" $root }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args:
        - {{ .role }}
        - --config=/etc/portico/settings/portico.toml
        {{- if ne .role "control" }}
        {{- include "portico.edgeArguments" $root | nindent 8 }}
        {{- end }}
        {{- if ne .role "proxy" }}
        {{- include "portico.apiArguments" $root | nindent 8 }}
        {{- end }}
      {{- with include "portico.environment" . | trim }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with $v.environmentFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- include "portico.ports" . | trim | nindent 8 }}
      # Reading a large store, or a large cache, may take its time.
      startupProbe:
        httpGet: {path: /healthz, port: management}
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: management}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # 200 also while the Redis is away, as long as there are routes.
      readinessProbe:
        httpGet: {path: /readyz, port: management}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      {{- if $v.proxy.preStopSeconds }}
      # SIGTERM ends the accepting at once; other nodes learn a little later that this pod ends.
      lifecycle:
        preStop:
          sleep: {seconds: {{ $v.proxy.preStopSeconds }}}
      {{- end }}
      securityContext:
        {{- include "portico.securityContext" . | nindent 8 }}
      {{- with .of.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "portico.mounts" . | nindent 8 }}
  volumes:
    {{- include "portico.volumes" . | nindent 4 }}
{{- end -}}
