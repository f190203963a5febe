{{/* tasklight.toml, and the files that it names. */}}

{{- define "tasklight.secrets" -}}/etc/tasklight/secrets{{- end }}

{{/* Where a secret is: in a file of yours, or in the key of a Secret that is mounted. Takes (list file existingSecret "its/path"). */}}
{{- define "tasklight.secretFile" -}}
{{- if index . 0 }}{{ index . 0 }}
{{- else if (index . 1).name }}{{ include "tasklight.secrets" . }}/{{ index . 2 }}
{{- end }}
{{- end }}

{{/* The sources of the volume with all secrets. */}}
{{- define "tasklight.secretSources" -}}
{{- $v := .Values }}
{{- $named := list
      (list $v.store.existingSecret "store-url")
      (list $v.broker.existingSecret "broker-url")
      (list $v.broker.ca.existingSecret "broker-ca.pem")
      (list $v.envelopes.existingSecret "envelopes.toml")
      (list $v.tls.clientGrants.existingSecret "client-grants.toml") }}
{{- if not $v.auth.insecure }}
{{- if not $v.auth.hmac.file }}{{ $named = append $named (list $v.auth.hmac.existingSecret "hmac-secret") }}{{ end }}
{{- $named = append $named (list $v.auth.apiKeys.existingSecret "keys.toml") }}
{{- end }}
{{- range $named }}
{{- $secret := first . }}
{{- if $secret.name }}
- secret: {name: {{ $secret.name }}, items: [{key: {{ $secret.key }}, path: {{ last . }}}]}
{{- end }}
{{- end }}
{{- with $v.auth.publicKeys.existingSecret }}
{{- if .name }}
- secret:
    name: {{ .name }}
    items:
    {{- range .keys }}
      - {key: {{ . }}, path: public/{{ . }}}
    {{- end }}
{{- end }}
{{- end }}
{{- with $v.tls }}
{{- if .existingSecret.name }}
- secret:
    name: {{ .existingSecret.name }}
    items:
      - {key: {{ .existingSecret.certKey }}, path: tls/tls.crt}
      - {key: {{ .existingSecret.keyKey }}, path: tls/tls.key}
      {{- with .existingSecret.clientCaKey }}
      - {key: {{ . }}, path: tls/client-ca.crt}
      {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The whole file: what values say, and what is given as it is. Files that are not named have no key. */}}
{{- define "tasklight.toml" -}}
{{- $v := .Values }}
{{- $name := include "tasklight.fullname" . }}
{{- $secrets := include "tasklight.secrets" . }}
{{- $store := dict "url_file" (include "tasklight.secretFile" (list $v.store.urlFile $v.store.existingSecret "store-url")) }}
{{- if $v.development.postgres.enabled }}
{{- $_ := set $store "url" (printf "postgres://tasklight@%s-postgres:5432/tasklight" $name) }}
{{- else if not (include "tasklight.postgres" .) }}
{{- $_ := set $store "url" "sqlite:///var/lib/tasklight/tasklight.db" }}
{{- end }}
{{- $broker := dict
      "url_file" (include "tasklight.secretFile" (list $v.broker.urlFile $v.broker.existingSecret "broker-url"))
      "ca_file" (include "tasklight.secretFile" (list "" $v.broker.ca.existingSecret "broker-ca.pem")) }}
{{- if $v.development.redis.enabled }}
{{- $_ := set $broker "url" (printf "redis://%s-redis:6379" $name) }}
{{- end }}
{{- $ingest := dict "envelope_keys" (include "tasklight.secretFile" (list $v.envelopes.file $v.envelopes.existingSecret "envelopes.toml")) }}
{{- if ne $v.envelopes.mode "off" }}{{ $_ := set $ingest "envelopes" $v.envelopes.mode }}{{ end }}
{{- $own := dict
      "listen" (printf "%s:8080" $v.listenAddress)
      "admin_listen" (printf "%s:9090" $v.listenAddress)
      "insecure_admin_listen" true
      "node" (dict "stop_timeout" (printf "%ds" (int $v.shutdown.stopTimeoutSeconds)))
      "store" $store "broker" $broker "ingest" $ingest
      "auth" (include "tasklight.authSettings" . | fromYaml)
      "tls" (include "tasklight.tlsSettings" . | fromYaml) }}
{{- range $section := list "store" "broker" "ingest" "auth" "tls" }}
{{- $table := get $own $section }}
{{- range $key := keys $table }}
{{- if empty (get $table $key) }}{{ $_ := unset $table $key }}{{ end }}
{{- end }}
{{- end }}
{{- if include "tasklight.migrateJob" . }}{{ $_ := set $store "migrate" false }}{{ end }}
{{- if $v.auth.insecure }}{{ $_ := set $own "insecure_listen" true }}{{ end }}
{{- include "tasklight.tomlTable" (dict "path" "" "table" (mergeOverwrite (deepCopy $v.config) $own)) | trim }}
{{- end }}

{{- define "tasklight.authSettings" -}}
{{- $auth := .Values.auth }}
{{- if not $auth.insecure }}
{{- $hmac := include "tasklight.secretFile" (list $auth.hmac.file $auth.hmac.existingSecret "hmac-secret") }}
{{- $public := list }}
{{- if $auth.publicKeys.existingSecret.name }}
{{- range $auth.publicKeys.existingSecret.keys }}{{ $public = append $public (printf "%s/public/%s" (include "tasklight.secrets" $) .) }}{{ end }}
{{- end }}
hmac_secret_file: {{ $hmac | quote }}
hmac_algorithm: {{ ternary $auth.hmac.algorithm "" (ne $hmac "") | quote }}
key_file: {{ include "tasklight.secretFile" (list $auth.apiKeys.file $auth.apiKeys.existingSecret "keys.toml") | quote }}
public_keys: {{ $public | toJson }}
jwks_url: {{ $auth.jwksUrl | quote }}
issuer: {{ $auth.issuer | quote }}
audience: {{ $auth.audience | quote }}
{{- end }}
{{- end }}

{{- define "tasklight.tlsSettings" -}}
{{- with .Values.tls }}
{{- if .existingSecret.name }}
{{- $folder := printf "%s/tls" (include "tasklight.secrets" $) }}
cert_file: {{ $folder }}/tls.crt
key_file: {{ $folder }}/tls.key
client_ca_file: {{ ternary (printf "%s/client-ca.crt" $folder) "" (ne .existingSecret.clientCaKey "") | quote }}
client_grants: {{ include "tasklight.secretFile" (list .clientGrants.file .clientGrants.existingSecret "client-grants.toml") | quote }}
client_auth: {{ .clientAuth | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* A table of TOML: JSON's numbers, strings and lists are TOML's, too. Numbers of values are floats, which toToml would write as 15000.0.
Tables, and lists of tables, come behind what is in the table itself. */}}
{{- define "tasklight.tomlTable" -}}
{{- $path := .path }}
{{- $table := .table }}
{{- $later := list }}
{{- range $key := keys $table | sortAlpha }}
{{- $value := get $table $key }}
{{- if or (kindIs "map" $value) (and (kindIs "slice" $value) (not (empty $value)) (kindIs "map" (first $value))) }}
{{- $later = append $later $key }}
{{- else if not (kindIs "invalid" $value) }}
{{ $key }} = {{ $value | toJson }}
{{- end }}
{{- end }}
{{- range $key := $later }}
{{- $value := get $table $key }}
{{- if kindIs "slice" $value }}
{{- range $value }}

[[{{ $path }}{{ $key }}]]
{{- include "tasklight.tomlTable" (dict "path" (printf "%s%s." $path $key) "table" .) }}
{{- end }}
{{- else if not (empty $value) }}

[{{ $path }}{{ $key }}]
{{- include "tasklight.tomlTable" (dict "path" (printf "%s%s." $path $key) "table" $value) }}
{{- end }}
{{- end }}
{{- end }}
