{{/* What the schema cannot say: values that do not go together, and secrets where everybody could read them. */}}

{{- define "tasklight.check" -}}
{{- $v := .Values }}
{{- $postgres := include "tasklight.postgres" . }}
{{- if and (not $postgres) (include "tasklight.several" .) }}
{{- fail "replicas, autoscaling: SQLite serves one hub only; name a Postgres in store.existingSecret" }}
{{- end }}
{{- range $what, $ways := dict
      "store" (list $v.store.existingSecret.name $v.store.urlFile)
      "broker" (list $v.broker.existingSecret.name $v.broker.urlFile)
      "migrate" (list $v.migrate.existingSecret.name $v.migrate.urlFile) }}
{{- if and (first $ways) (last $ways) }}
{{- fail (printf "%s.existingSecret and %s.urlFile are both given: leave one out" $what $what) }}
{{- end }}
{{- end }}
{{- if and $v.development.postgres.enabled (or $v.store.existingSecret.name $v.store.urlFile) }}
{{- fail "development.postgres.enabled: there is a Postgres in store already" }}
{{- end }}
{{- if and $v.development.redis.enabled (or $v.broker.existingSecret.name $v.broker.urlFile) }}
{{- fail "development.redis.enabled: there is a Redis in broker already" }}
{{- end }}
{{- include "tasklight.checkAuth" . }}
{{- if and (ne $v.envelopes.mode "off") (not (or $v.envelopes.existingSecret.name $v.envelopes.file)) }}
{{- fail "envelopes.mode: seals are checked with keys; name them in envelopes.existingSecret" }}
{{- end }}
{{- $grants := or $v.tls.clientGrants.existingSecret.name $v.tls.clientGrants.file }}
{{- if and (or $v.tls.clientAuth $v.tls.existingSecret.clientCaKey $grants) (not $v.tls.existingSecret.name) }}
{{- fail "tls.clientAuth, tls.existingSecret.clientCaKey, tls.clientGrants: clients' certificates are only seen by hubs that speak TLS; name their own in tls.existingSecret" }}
{{- end }}
{{- if ne (has $v.tls.clientAuth (list "optional" "required")) (ne $v.tls.existingSecret.clientCaKey "") }}
{{- fail "tls.clientAuth and tls.existingSecret.clientCaKey belong together: whether certificates are asked for, and who may have signed them" }}
{{- end }}
{{- if and $grants (not $v.tls.existingSecret.clientCaKey) }}
{{- fail "tls.clientGrants: nobody is asked for a certificate; set tls.clientAuth and tls.existingSecret.clientCaKey" }}
{{- end }}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) }}
{{- fail "ingress.hosts: name at least one host" }}
{{- end }}
{{- if lt (int $v.autoscaling.maxReplicas) (int $v.autoscaling.minReplicas) }}
{{- fail "autoscaling.maxReplicas must not be less than autoscaling.minReplicas" }}
{{- end }}
{{- include "tasklight.checkConfig" . }}
{{- include "tasklight.checkEnv" . }}
{{- end }}

{{- define "tasklight.checkAuth" -}}
{{- $auth := .Values.auth }}
{{- $grants := .Values.tls.clientGrants }}
{{- $others := or $grants.existingSecret.name $grants.file $auth.apiKeys.existingSecret.name $auth.apiKeys.file $auth.publicKeys.existingSecret.name $auth.jwksUrl }}
{{- if and $auth.insecure (or $others $auth.hmac.file) }}
{{- fail "auth.insecure: there are keys, and no tokens would be asked for; leave one out" }}
{{- end }}
{{- if not (or $auth.insecure $others $auth.hmac.existingSecret.name $auth.hmac.file) }}
{{- fail "auth: no key for tokens is named, so that whoever reaches the Service could read and write everything; name one in auth.hmac, auth.apiKeys, auth.publicKeys, auth.jwksUrl or tls.clientGrants" }}
{{- end }}
{{- if and $auth.publicKeys.existingSecret.name (not $auth.publicKeys.existingSecret.keys) }}
{{- fail "auth.publicKeys.existingSecret.keys: name the keys of the Secret that are to be used" }}
{{- end }}
{{- end }}

{{/* The keys that other values are for, each with what to use instead. */}}
{{- define "tasklight.owned" -}}
listen: listenAddress
admin_listen: listenAddress
insecure_listen: auth.insecure
insecure_admin_listen: listenAddress
store.url: store.existingSecret (a ConfigMap is no place for passwords)
store.url_file: store.existingSecret
store.migrate: migrate.job
broker.url: broker.existingSecret (a ConfigMap is no place for passwords)
broker.url_file: broker.existingSecret
broker.ca_file: broker.ca.existingSecret
auth.hmac_secret: auth.hmac.existingSecret (a ConfigMap is no place for secrets)
auth.hmac_secret_file: auth.hmac.existingSecret
auth.hmac_algorithm: auth.hmac.algorithm
auth.public_keys: auth.publicKeys.existingSecret
auth.key_file: auth.apiKeys.existingSecret
auth.jwks_url: auth.jwksUrl
auth.issuer: auth.issuer
auth.audience: auth.audience
ingest.envelopes: envelopes.mode
ingest.envelope_keys: envelopes.existingSecret
tls.cert_file: tls.existingSecret
tls.key_file: tls.existingSecret
tls.client_ca_file: tls.existingSecret.clientCaKey
tls.client_auth: tls.clientAuth
tls.client_grants: tls.clientGrants
node.id: nothing, it is the name of the pod
node.stop_timeout: shutdown.stopTimeoutSeconds
{{- end }}

{{- define "tasklight.checkConfig" -}}
{{- $owned := include "tasklight.owned" . | fromYaml }}
{{- $keys := dict }}
{{- range $section, $values := .Values.config }}
{{- if kindIs "map" $values }}
{{- range $key, $value := $values }}{{ $_ := set $keys (printf "%s.%s" $section $key) $value }}{{ end }}
{{- else }}
{{- $_ := set $keys $section $values }}
{{- end }}
{{- end }}
{{- range $key, $value := $keys }}
{{- if hasKey $owned $key }}
{{- fail (printf "config: %s is set by the chart; use %s" $key (get $owned $key)) }}
{{- end }}
{{- if and (regexMatch "(password|passphrase|secret|token|credential|private_key)" $key) (not (hasSuffix "_file" $key)) }}
{{- fail (printf "config: %s looks like a secret, and a ConfigMap is readable: mount it with extraVolumes and name its file" $key) }}
{{- end }}
{{- if regexMatch "://[^/@\"\\s]*:[^/@\"\\s]+@|-----BEGIN" (toJson $value) }}
{{- fail (printf "config: %s has a password or a key in it, and a ConfigMap is readable: mount it with extraVolumes and name its file" $key) }}
{{- end }}
{{- end }}
{{- end }}

{{/* An environment is seen in dumps of pods and by whoever may look into the container, wherever its values come from. So what can be in a
file has to be; what cannot (credentials of a bucket) may come from a Secret, but never from a value. */}}
{{- define "tasklight.checkEnv" -}}
{{- $filed := list "TASKLIGHT__STORE__URL" "TASKLIGHT__BROKER__URL" "TASKLIGHT__AUTH__HMAC_SECRET" }}
{{- range .Values.extraEnv }}
{{- if has .name $filed }}
{{- fail (printf "extraEnv: %s would show a secret to whoever sees the environment: use the existingSecret of that value" .name) }}
{{- end }}
{{- if and .value (regexMatch "(?i)(PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|(ACCESS|API|PRIVATE)_?KEY)" .name) (not (hasSuffix "_FILE" .name)) }}
{{- fail (printf "extraEnv: %s looks like a secret: take it from a Secret (valueFrom), or better mount a file" .name) }}
{{- end }}
{{- if regexMatch "://[^/@\"\\s]*:[^/@\"\\s]+@|-----BEGIN" (default "" .value) }}
{{- fail (printf "extraEnv: %s has a password or a key in it: mount it instead" .name) }}
{{- end }}
{{- end }}
{{- end }}
