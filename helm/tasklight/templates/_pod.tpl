{{/* Parts of the hubs' pods. */}}

{{/* Ready is quick to say no: nobody is sent there. Alive is slow to: a restart ends every viewer's connection and mends nothing that
waiting for Postgres would not. */}}
{{- define "tasklight.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ max 1 (div .Values.probes.startupSeconds 2) }}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: {{ .Values.probes.readinessPeriodSeconds }}
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: {{ max 3 (div .Values.probes.livenessSeconds 10) }}
{{- end }}

{{- define "tasklight.placement" -}}
{{- $hub := dict "top" . "component" "hub" }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if include "tasklight.several" . }}
{{- with .Values.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - maxSkew: 1
    topologyKey: {{ .topologyKey }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    # Each version by itself, or old pods would decide where new ones go.
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels: {{- include "tasklight.selector" $hub | nindent 8 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
