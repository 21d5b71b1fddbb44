{{/* What things are called, and what they are labelled with. */}}

{{- define "portico.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for every suffix that is put behind it. */}}
{{- define "portico.fullname" -}}
{{- $name := include "portico.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The workload that serves clients. */}}
{{- define "portico.edgeName" -}}
{{- include "portico.fullname" . -}}{{- if eq .Values.mode "split" -}}-proxy{{- end -}}
{{- end -}}

{{- define "portico.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "portico.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What selects every pod of Portico, and not the bundled Redis. */}}
{{- define "portico.selector" -}}
app.kubernetes.io/name: {{ include "portico.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portico.redisSelector" -}}
app.kubernetes.io/name: {{ include "portico.name" . }}-redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What is on pods besides a selector: nothing that changes with the chart alone, which would roll
them. */}}
{{- define "portico.podLabels" -}}
app.kubernetes.io/part-of: {{ include "portico.name" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What is on everything else besides a selector. */}}
{{- define "portico.otherLabels" -}}
{{ include "portico.podLabels" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "portico.labels" -}}
{{ include "portico.selector" . }}
{{ include "portico.otherLabels" . }}
{{- end -}}

{{/* Which component a pod is: its label says the role that Portico has there. */}}
{{- define "portico.edgeRole" -}}
{{- if eq .Values.mode "split" -}}proxy{{- else -}}serve{{- end -}}
{{- end -}}

{{/* The pods with the API. */}}
{{- define "portico.apiRole" -}}
{{- if eq .Values.mode "split" -}}control{{- else -}}serve{{- end -}}
{{- end -}}

{{- define "portico.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}
