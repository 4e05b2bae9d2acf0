{{/*
Names are fixed, whatever the release is called: the Lease, the Secrets and the record of links of an installation have
names of their own, and `kubectl tracecapture download` looks for the Service `tracecapture-gateway`. So a namespace
holds one installation.
*/}}
{{- define "tracecapture.operator" -}}tracecapture-operator{{- end }}
{{- define "tracecapture.gateway" -}}tracecapture-gateway{{- end }}

{{/* The name of an object of the whole cluster. */}}
{{- define "tracecapture.clusterName" -}}
{{- $suffix := .context.Values.rbac.clusterNameSuffix -}}
{{- .name }}{{ if $suffix }}-{{ $suffix }}{{ end }}
{{- end }}

{{- define "tracecapture.operatorAccount" -}}
{{- .Values.operator.serviceAccount.name | default (include "tracecapture.operator" .) }}
{{- end }}

{{- define "tracecapture.gatewayAccount" -}}
{{- .Values.gateway.serviceAccount.name | default (include "tracecapture.gateway" .) }}
{{- end }}

{{/* Labels by which pods are selected: for ever. Collectors admit pods with the first two to their HTTP API. */}}
{{- define "tracecapture.selectorLabels" -}}
app.kubernetes.io/name: tracecapture
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "tracecapture.commonLabels" -}}
app.kubernetes.io/name: tracecapture
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: tracecapture
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of an object of one component. */}}
{{- define "tracecapture.labels" -}}
{{ include "tracecapture.commonLabels" .context }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* An image by its digest if there is one, else by its tag. `.image` holds registry, repository, tag and digest. */}}
{{- define "tracecapture.imageReference" -}}
{{- $image := .image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .context.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "tracecapture.image" -}}
{{- include "tracecapture.imageReference" (dict "image" .Values.image "context" .) }}
{{- end }}

{{/*
The image of collectors: where the values name no registry or repository of it, those of the installation. The tag and
the digest belong together: the installation's digest is of another version than a tag that is named here.
*/}}
{{- define "tracecapture.collectorImage" -}}
{{- $own := .Values.collectors.image -}}
{{- $image := dict "registry" ($own.registry | default .Values.image.registry) "repository" ($own.repository | default .Values.image.repository) -}}
{{- $version := ternary $own .Values.image (not (empty (or $own.tag $own.digest $own.repository))) -}}
{{- $image = merge $image (dict "tag" $version.tag "digest" $version.digest) -}}
{{- include "tracecapture.imageReference" (dict "image" $image "context" .) }}
{{- end }}

{{/* The public base address: the one given, else that of the Ingress. Empty where there is none. */}}
{{- define "tracecapture.publicUrl" -}}
{{- $gateway := .Values.gateway -}}
{{- if $gateway.publicUrl }}
{{- $gateway.publicUrl }}
{{- else if and $gateway.enabled $gateway.ingress.enabled }}
{{- printf "%s://%s" (ternary "https" "http" $gateway.ingress.tls.enabled) $gateway.ingress.host }}
{{- end }}
{{- end }}

{{/* The port that the gateway's Service has, by name: the API server's proxy and the routes ask for it. */}}
{{- define "tracecapture.gatewayPortName" -}}
{{- ternary "https" "http" .Values.gateway.tls.enabled }}
{{- end }}

{{- define "tracecapture.tlsSecret" -}}
{{- .Values.gateway.tls.secretName | default "tracecapture-gateway-tls" }}
{{- end }}

{{/* The namespace that the test captures in. */}}
{{- define "tracecapture.testNamespace" -}}
{{- .Values.tests.namespace | default (first .Values.watchNamespaces) | default .Release.Namespace }}
{{- end }}

{{/* The namespace that the notes speak of. */}}
{{- define "tracecapture.exampleNamespace" -}}
{{- first .Values.watchNamespaces | default "default" }}
{{- end }}

{{/* How the pods of a Deployment are spread: as given, each constraint about these pods; else apart where there are several. */}}
{{- define "tracecapture.spread" -}}
{{- $labels := include "tracecapture.selectorLabels" . | fromYaml -}}
{{- $constraints := list -}}
{{- range .values.topologySpreadConstraints -}}
{{- $constraints = append $constraints (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" $labels))) -}}
{{- end -}}
{{- if and (not $constraints) (gt (int .values.replicas) 1) -}}
{{- $constraints = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway" "labelSelector" (dict "matchLabels" $labels)) -}}
{{- end -}}
{{- with $constraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What the pods of both Deployments have in common, but for their containers. */}}
{{- define "tracecapture.podSpec" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: true
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .values.terminationGracePeriodSeconds }}
securityContext:
  {{- toYaml .context.Values.podSecurityContext | nindent 2 }}
{{- with .context.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "tracecapture.spread" . }}
{{- end }}

{{/* The metadata of the pods of a Deployment. */}}
{{- define "tracecapture.podMetadata" -}}
labels:
  {{- include "tracecapture.selectorLabels" . | nindent 2 }}
  {{- with .context.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What both containers have in common, but for their arguments, ports and mounts. */}}
{{- define "tracecapture.container" -}}
name: {{ .component }}
image: {{ include "tracecapture.image" .context | quote }}
imagePullPolicy: {{ .context.Values.image.pullPolicy }}
securityContext:
  {{- toYaml .context.Values.securityContext | nindent 2 }}
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
env:
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  - name: POD_NAMESPACE
    valueFrom:
      fieldRef:
        fieldPath: metadata.namespace
  {{- with .context.Values.logFilter }}
  - name: RUST_LOG
    value: {{ . | quote }}
  {{- end }}
  {{- with .values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
livenessProbe:
  httpGet:
    path: /livez
    port: admin
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}
