{{/* What things are called, and which pods are whose. */}}

{{- define "tasklight.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Forty characters leave room for what is put behind it. */}}
{{- define "tasklight.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "tasklight.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "tasklight.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Takes (dict "top" . "component" "hub"). */}}
{{- define "tasklight.selector" -}}
app.kubernetes.io/name: {{ include "tasklight.name" .top }}
app.kubernetes.io/instance: {{ .top.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tasklight.labels" -}}
{{ include "tasklight.selector" . }}
app.kubernetes.io/version: {{ .top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .top.Chart.Name .top.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* A digest says which image it is; a tag beside it would be ignored. */}}
{{- define "tasklight.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}
{{- else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end }}
{{- end }}
{{- end }}

{{- define "tasklight.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "tasklight.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Says "true" if the store is a Postgres, which any number of hubs may share. */}}
{{- define "tasklight.postgres" -}}
{{- if or .Values.store.existingSecret.name .Values.store.urlFile .Values.development.postgres.enabled }}true{{ end }}
{{- end }}

{{- define "tasklight.redis" -}}
{{- if or .Values.broker.existingSecret.name .Values.broker.urlFile .Values.development.redis.enabled }}true{{ end }}
{{- end }}

{{/* Says "true" if a Job brings the schema up to date. Before the first installation a Postgres of the chart's own is not there yet. */}}
{{- define "tasklight.migrateJob" -}}
{{- if and .Values.migrate.job (include "tasklight.postgres" .) (not .Values.development.postgres.enabled) }}true{{ end }}
{{- end }}

{{/* Says "true" if there can be more than one hub. */}}
{{- define "tasklight.several" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) }}true{{ end }}
{{- end }}
