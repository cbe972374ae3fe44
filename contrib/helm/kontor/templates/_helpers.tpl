{{- define "kontor.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kontor.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kontor.labels" -}}
{{ include "kontor.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "kontor.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kontor.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kontor.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository .Values.image.tag -}}
{{- end -}}
{{- end -}}

{{/* The configuration of kontor serve: that of the values, and what the chart adds. */}}
{{- define "kontor.config" -}}
{{- $c := deepCopy .Values.config -}}
{{- range $field := list "listen" "metrics_listen" "insecure_http" "database" "master_key_file" "administrator_file" "identities" "tls" "drain" "grace" "log" "audit" "data" "upstream_folder" -}}
{{- if hasKey $c $field -}}
{{- fail (printf "config.%s: the chart sets this field; see values.yaml for the value that it comes from" $field) -}}
{{- end -}}
{{- end -}}
{{- if hasKey $c "console_listen" -}}
{{- fail "config.console_listen: the chart has no port for it; leave it out, and the console is where the registries are" -}}
{{- end -}}
{{- range $i, $provider := $c.single_sign_on -}}
{{- range $field := list "client_secret" "client_secret_file" -}}
{{- if hasKey $provider $field -}}
{{- fail (printf "config.single_sign_on[%d].%s: put the secret of the client into a Secret and name it in secrets.singleSignOn" $i $field) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.secrets.singleSignOn.name -}}
{{- range $i, $key := .Values.secrets.singleSignOn.keys -}}
{{- if ge $i (len ($c.single_sign_on | default list)) -}}
{{- fail (printf "secrets.singleSignOn.keys[%d]: config.single_sign_on has no provider %d" $i $i) -}}
{{- end -}}
{{- if $key -}}
{{- $_ := set (index $c.single_sign_on $i) "client_secret_file" (printf "/etc/kontor/secrets/single-sign-on-%d" $i) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $c.external_url -}}{{- $_ := unset $c "external_url" -}}{{- end -}}
{{- $_ := set $c "listen" "0.0.0.0:5050" -}}
{{- $_ := set $c "metrics_listen" "0.0.0.0:9464" -}}
{{- $_ := set $c "database" (dict "url_file" "/etc/kontor/secrets/database") -}}
{{- $_ := set $c "master_key_file" "/etc/kontor/secrets/master.key" -}}
{{- if .Values.secrets.administrator.name -}}
{{- $_ := set $c "administrator_file" "/etc/kontor/secrets/administrator" -}}
{{- end -}}
{{- $s3 := $c.storage.s3 -}}
{{- range $field := list "access_key_id" "access_key_id_file" "secret_access_key" "secret_access_key_file" -}}
{{- if hasKey $s3 $field -}}
{{- fail (printf "config.storage.s3.%s: put the keys of the bucket into a Secret and name it in secrets.s3" $field) -}}
{{- end -}}
{{- end -}}
{{- if .Values.secrets.s3.name -}}
{{- $_ := set $s3 "access_key_id_file" "/etc/kontor/secrets/s3-access-key-id" -}}
{{- $_ := set $s3 "secret_access_key_file" "/etc/kontor/secrets/s3-secret-access-key" -}}
{{- end -}}
{{- if .Values.secrets.tls.name -}}
{{- $_ := set $c "tls" (dict "cert" "/etc/kontor/tls/tls.crt" "key" "/etc/kontor/tls/tls.key") -}}
{{- else -}}
{{- $_ := set $c "insecure_http" true -}}
{{- end -}}
{{- if .Values.identities -}}
{{- $_ := set $c "identities" "/etc/kontor/identities.yaml" -}}
{{- end -}}
{{- $_ := set $c "audit" .Values.audit.mode -}}
{{- if ne .Values.audit.mode "off" -}}
{{- $_ := set $c "data" "/data/kontor" -}}
{{- end -}}
{{- $_ := set $c "drain" (printf "%ds" (int .Values.shutdown.drainSeconds)) -}}
{{- $_ := set $c "grace" (printf "%ds" (int .Values.shutdown.graceSeconds)) -}}
{{- toYaml $c -}}
{{- end -}}

{{/* How many connections to PostgreSQL a server has at most. */}}
{{- define "kontor.connections" -}}20{{- end -}}

{{/* The keys of the Secrets, in one folder. */}}
{{- define "kontor.secretsVolume" -}}
# Readable for the user's group, as the server demands of the master key.
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ .Values.secrets.database.name }}
          items: [{key: {{ .Values.secrets.database.key }}, path: database}]
      - secret:
          name: {{ .Values.secrets.masterKey.name }}
          items: [{key: {{ .Values.secrets.masterKey.key }}, path: master.key}]
      {{- with .Values.secrets.administrator }}
      {{- if .name }}
      - secret:
          name: {{ .name }}
          items: [{key: {{ .key }}, path: administrator}]
      {{- end }}
      {{- end }}
      {{- with .Values.secrets.s3 }}
      {{- if .name }}
      - secret:
          name: {{ .name }}
          items:
            - {key: {{ .accessKeyID }}, path: s3-access-key-id}
            - {key: {{ .secretAccessKey }}, path: s3-secret-access-key}
      {{- end }}
      {{- end }}
      {{- with .Values.secrets.singleSignOn }}
      {{- if .name }}
      - secret:
          name: {{ .name }}
          items:
            {{- range $i, $key := .keys }}
            {{- if $key }}
            - {key: {{ $key }}, path: single-sign-on-{{ $i }}}
            {{- end }}
            {{- end }}
      {{- end }}
      {{- end }}
{{- end -}}

{{- define "kontor.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "kontor.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}
