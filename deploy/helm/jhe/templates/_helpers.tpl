{{- define "jhe.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "jhe.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "jhe.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "jhe.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "jhe.matchLabels" -}}
app.kubernetes.io/name: {{ include "jhe.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "jhe.labels" -}}
{{ include "jhe.matchLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "jhe.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "jhe.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The image; one without tag or digest gets the version of the server. */}}
{{- define "jhe.image" -}}
{{- $image := required "image: name the image of the server, such as registry.example.org/jhe" .Values.image }}
{{- if regexMatch "[:@]" (last (splitList "/" $image)) }}
{{- $image }}
{{- else }}
{{- printf "%s:%s" $image .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Public base URL. */}}
{{- define "jhe.siteUrl" -}}
{{- required "siteUrl: name the public address, such as https://jhe.example.org" (default .Values.env.SITE_URL .Values.siteUrl) | trimSuffix "/" }}
{{- end }}

{{/* Its host, without a port. */}}
{{- define "jhe.host" -}}
{{- regexReplaceAll ":[0-9]+$" (regexReplaceAll "^https?://" (include "jhe.siteUrl" .) "") "" }}
{{- end }}

{{- define "jhe.metrics" -}}
{{- if or .Values.metrics.enabled .Values.serviceMonitor.enabled }}true{{ end }}
{{- end }}

{{/* A value as the text of a variable: values files hold whole numbers as fractions. */}}
{{- define "jhe.text" -}}
{{- if kindIs "float64" . }}
{{- if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- else }}
{{- . }}
{{- end }}
{{- end }}

{{/* Variables that hold secrets. */}}
{{- define "jhe.secretNames" -}}
{{- list "SECRET_KEY" "DATA_ENCRYPTION_KEY" "JHE_DATA_KEY" "OIDC_RSA_PRIVATE_KEY" "OIDC_RSA_PRIVATE_KEYS_INACTIVE"
    "DATABASE_URL" "DATABASE_READ_URL" "DB_PASSWORD" "SMTP_PASSWORD" "REGISTRATION_INVITE_CODE" "OTEL_EXPORTER_OTLP_HEADERS"
    "PATIENT_AUTHORIZATION_CODE_VERIFIER" "SOF_EHR_LAUNCH_CLIENT_SECRET" | toJson }}
{{- end }}

{{/* Variables without secrets, as a map of texts; `env` wins over what is derived from other values. */}}
{{- define "jhe.plainEnv" -}}
{{- $env := dict "SITE_URL" (include "jhe.siteUrl" .) }}
{{- $_ := set $env "JHE_DB_POOL" (include "jhe.text" .Values.db.pool) }}
{{- $_ := set $env "JHE_SHUTDOWN_DELAY" (include "jhe.text" .Values.shutdown.delaySeconds) }}
{{- $_ := set $env "JHE_SHUTDOWN_GRACE" (include "jhe.text" .Values.shutdown.graceSeconds) }}
{{- with .Values.trustedProxies }}{{ $_ := set $env "JHE_TRUSTED_PROXIES" (join "," .) }}{{ end }}
{{- if .Values.debug.enabled }}{{ $_ := set $env "DEBUG" "1" }}{{ end }}
{{- if include "jhe.metrics" . }}
{{- $_ := set $env "JHE_METRICS_BIND" (printf "0.0.0.0:%s" (include "jhe.text" .Values.metrics.port)) }}
{{- end }}
{{- if .Values.db.host }}
{{- $_ := set $env "DB_HOST" .Values.db.host }}
{{- $_ := set $env "DB_PORT" (include "jhe.text" .Values.db.port) }}
{{- $_ := set $env "DB_NAME" .Values.db.name }}
{{- $_ := set $env "DB_USER" .Values.db.user }}
{{- end }}
{{- /* A URL without a mode of its own takes that of PostgreSQL's own variables. */}}
{{- $byUrl := not (empty .Values.db.urlKey) }}
{{- with .Values.db.sslMode }}{{ $_ := set $env (ternary "PGSSLMODE" "DB_SSL_MODE" $byUrl) . }}{{ end }}
{{- with .Values.db.sslRootCert }}{{ $_ := set $env (ternary "PGSSLROOTCERT" "DB_SSL_ROOT_CERT" $byUrl) . }}{{ end }}
{{- $secret := include "jhe.secretNames" . | fromJsonArray }}
{{- range $name, $value := .Values.env }}
{{- if not (or (eq $name "SITE_URL") (has $name $secret) (kindIs "invalid" $value)) }}
{{- $_ := set $env $name (include "jhe.text" $value) }}
{{- end }}
{{- end }}
{{- $env | toYaml }}
{{- end }}

{{/* Secret variables that the values give, as a map of texts; an empty one is none. */}}
{{- define "jhe.secretEnv" -}}
{{- $env := dict }}
{{- $secret := include "jhe.secretNames" . | fromJsonArray }}
{{- range $name, $value := .Values.env }}
{{- if and (has $name $secret) $value }}
{{- $_ := set $env $name (include "jhe.text" $value) }}
{{- end }}
{{- end }}
{{- if and .Values.db.password (not .Values.db.existingSecret) }}{{ $_ := set $env "DB_PASSWORD" .Values.db.password }}{{ end }}
{{- with .Values.db.readUrls }}{{ $_ := set $env "DATABASE_READ_URL" (join "," .) }}{{ end }}
{{- $env | toYaml }}
{{- end }}

{{/* Whether the chart makes SECRET_KEY. */}}
{{- define "jhe.makesSecretKey" -}}
{{- if not (or .Values.existingSecret .Values.env.SECRET_KEY) }}true{{ end }}
{{- end }}

{{/* Names of what the chart's own Secret holds. */}}
{{- define "jhe.ownSecretKeys" -}}
{{- $keys := keys (include "jhe.secretEnv" . | fromYaml) }}
{{- if include "jhe.makesSecretKey" . }}{{ $keys = append $keys "SECRET_KEY" }}{{ end }}
{{- $keys | uniq | sortAlpha | toJson }}
{{- end }}

{{/* What stops an installation that could not work. */}}
{{- define "jhe.check" -}}
{{- if .Values.mcp.enabled }}{{ fail "mcp.enabled: this version has no MCP server" }}{{ end }}
{{- if or .Values.env.JHE_SHUTDOWN_GRACE .Values.env.JHE_SHUTDOWN_DELAY }}
{{- fail "set shutdown.graceSeconds and shutdown.delaySeconds instead of JHE_SHUTDOWN_GRACE and JHE_SHUTDOWN_DELAY: the time a pod is given follows from them" }}
{{- end }}
{{- if not (or .Values.db.host .Values.db.urlKey .Values.env.DATABASE_URL .Values.existingSecret) }}
{{- fail "db.host: name the database, or give its URL in a Secret (db.existingSecret and db.urlKey, or DATABASE_URL in existingSecret)" }}
{{- end }}
{{- if and .Values.db.urlKey (not .Values.db.existingSecret) }}
{{- fail "db.urlKey names a key of db.existingSecret, which is empty" }}
{{- end }}
{{- if and .Values.migrate.asJob (not .Values.migrate.enabled) }}
{{- fail "migrate.asJob needs migrate.enabled" }}
{{- end }}
{{- end }}

{{/* envFrom and env of every container. */}}
{{- define "jhe.environment" -}}
{{- $files := .Values.secretsAsFiles }}
{{- $own := include "jhe.ownSecretKeys" . | fromJsonArray }}
envFrom:
  - configMapRef:
      name: {{ include "jhe.fullname" . }}
  {{- if not $files }}
  {{- if $own }}
  - secretRef:
      name: {{ include "jhe.fullname" . }}
  {{- end }}
  {{- with .Values.existingSecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
  {{- end }}
{{- $env := list }}
{{- if .Values.db.existingSecret }}
{{- $key := default .Values.db.passwordKey .Values.db.urlKey }}
{{- $name := ternary "DATABASE_URL" "DB_PASSWORD" (not (empty .Values.db.urlKey)) }}
{{- if $files }}
{{- $env = append $env (dict "name" (printf "%s_FILE" $name) "value" (printf "/run/secrets/db/%s" $key)) }}
{{- else }}
{{- $env = append $env (dict "name" $name "valueFrom" (dict "secretKeyRef" (dict "name" .Values.db.existingSecret "key" $key))) }}
{{- end }}
{{- end }}
{{- if .Values.oidcKey.existingSecret }}
{{- $env = append $env (dict "name" "OIDC_RSA_PRIVATE_KEY_FILE" "value" (printf "/run/secrets/oidc/%s" .Values.oidcKey.key)) }}
{{- end }}
{{- if $files }}
{{- range $own }}
{{- $env = append $env (dict "name" (printf "%s_FILE" .) "value" (printf "/run/secrets/jhe/%s" .)) }}
{{- end }}
{{- if .Values.existingSecret }}
{{- range .Values.existingSecretKeys }}
{{- $env = append $env (dict "name" (printf "%s_FILE" .) "value" (printf "/run/secrets/existing/%s" .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- with $env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Folders of secrets: name and Secret. */}}
{{- define "jhe.secretFolders" -}}
{{- $folders := list }}
{{- if .Values.secretsAsFiles }}
{{- if include "jhe.ownSecretKeys" . | fromJsonArray }}
{{- $folders = append $folders (dict "name" "jhe" "secret" (include "jhe.fullname" .)) }}
{{- end }}
{{- with .Values.existingSecret }}{{ $folders = append $folders (dict "name" "existing" "secret" .) }}{{ end }}
{{- with .Values.db.existingSecret }}{{ $folders = append $folders (dict "name" "db" "secret" .) }}{{ end }}
{{- end }}
{{- with .Values.oidcKey.existingSecret }}{{ $folders = append $folders (dict "name" "oidc" "secret" .) }}{{ end }}
{{- $folders | toJson }}
{{- end }}

{{- define "jhe.volumeMounts" -}}
{{- $mounts := list }}
{{- range include "jhe.secretFolders" . | fromJsonArray }}
{{- $mounts = append $mounts (dict "name" (printf "secret-%s" .name) "mountPath" (printf "/run/secrets/%s" .name) "readOnly" true) }}
{{- end }}
{{- with concat $mounts .Values.volumeMounts }}
volumeMounts:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "jhe.volumes" -}}
{{- $volumes := list }}
{{- range include "jhe.secretFolders" . | fromJsonArray }}
{{- $volumes = append $volumes (dict "name" (printf "secret-%s" .name) "secret" (dict "secretName" .secret "defaultMode" 288)) }}
{{- end }}
{{- with concat $volumes .Values.extraVolumes }}
volumes:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What all pods have in common. */}}
{{- define "jhe.pod" -}}
serviceAccountName: {{ include "jhe.serviceAccountName" . }}
automountServiceAccountToken: false
# Variables about Services would begin with JHE_ and look like settings.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- include "jhe.volumes" . }}
{{- end }}

{{/* What all containers have in common. */}}
{{- define "jhe.container" -}}
image: {{ include "jhe.image" . | quote }}
{{- with .Values.imagePullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- with .Values.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "jhe.environment" . | nindent 0 }}
{{- include "jhe.volumeMounts" . }}
{{- end }}

{{/* A probe: its values, and what it asks. */}}
{{- define "jhe.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
{{ omit .values "enabled" | toYaml }}
{{- end }}
