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
app.kubernetes.io/instance: {{ .context.Release.Name | quote }}
{{- end }}

{{/*
Labels of an object as one map, so that no key stands in it twice: `extra` goes before `commonLabels`, and these before
the chart's own. The schema keeps both off the labels that objects are found by. `component` and `extra` may be left out.
*/}}
{{- define "tracecapture.labels" -}}
{{- $context := .context -}}
{{- $labels := dict
  "app.kubernetes.io/name" "tracecapture"
  "app.kubernetes.io/instance" $context.Release.Name
  "app.kubernetes.io/part-of" "tracecapture"
  "app.kubernetes.io/version" $context.Chart.AppVersion
  "app.kubernetes.io/managed-by" $context.Release.Service
  "helm.sh/chart" (printf "%s-%s" $context.Chart.Name $context.Chart.Version | replace "+" "_")
-}}
{{- with .component -}}
{{- $_ := set $labels "app.kubernetes.io/component" . -}}
{{- end -}}
{{- merge (dict) (.extra | default dict) ($context.Values.commonLabels | default dict) $labels | toYaml -}}
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

{{/* Numbers of a file are floats to Helm: a month would be written `2.592e+06`, which no program reads. */}}
{{- define "tracecapture.maxLinkSeconds" -}}
{{- int64 .Values.gateway.maxLinkSeconds }}
{{- end }}

{{/* The port that the gateway's Service has, by name: the API server's proxy and the routes ask for it. */}}
{{- define "tracecapture.gatewayPortName" -}}
{{- ternary "https" "http" .Values.gateway.tls.enabled }}
{{- end }}

{{- define "tracecapture.tlsSecret" -}}
{{- .Values.gateway.tls.secretName | default "tracecapture-gateway-tls" }}
{{- end }}

{{/*
Whether `helm test` has something to run: not empty if so. With TLS in the gateway the API server's proxy does not reach
it, so the download of the test needs the public address.
*/}}
{{- define "tracecapture.isTested" -}}
{{- if and .Values.tests.enabled .Values.gateway.enabled (or (include "tracecapture.publicUrl" .) (not .Values.gateway.tls.enabled)) -}}
yes
{{- end }}
{{- end }}

{{/* The namespace that the test captures in. */}}
{{- define "tracecapture.testNamespace" -}}
{{- $namespace := .Values.tests.namespace | default (first .Values.watchNamespaces) | default .Release.Namespace -}}
{{- if and .Values.watchNamespaces (not (has $namespace .Values.watchNamespaces)) -}}
{{- fail (printf "tests.namespace is %s, which is none of watchNamespaces: nobody would look after the capture of the test" $namespace) -}}
{{- end -}}
{{- $namespace }}
{{- end }}

{{/* The namespace that the notes speak of. */}}
{{- define "tracecapture.exampleNamespace" -}}
{{- first .Values.watchNamespaces | default "default" }}
{{- end }}

{{/* How the pods of a Deployment are spread: as given, each constraint about these pods; else apart where there are several. */}}
{{- define "tracecapture.spread" -}}
{{- $these := dict "labelSelector" (dict "matchLabels" (include "tracecapture.selectorLabels" . | fromYaml)) -}}
{{- $constraints := list -}}
{{- range .values.topologySpreadConstraints -}}
{{- /* A selector that is given means other pods, and merging in depth would narrow it. */ -}}
{{- $constraints = append $constraints (hasKey . "labelSelector" | ternary . (merge (omit . "labelSelector") $these)) -}}
{{- end -}}
{{- if and (not $constraints) (gt (int .values.replicas) 1) -}}
{{- $constraints = list (merge (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") $these) -}}
{{- end -}}
{{- with $constraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What the pods of both Deployments have in common, but for their containers. */}}
{{- define "tracecapture.podSpec" -}}
serviceAccountName: {{ .account | quote }}
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
priorityClassName: {{ . | quote }}
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

{{/* The metadata of the pods of a Deployment; each map is one, so that no key stands in it twice. */}}
{{- define "tracecapture.podMetadata" -}}
{{- $common := .context.Values.commonLabels | default dict -}}
{{- $annotations := dict "kubectl.kubernetes.io/default-container" .component -}}
labels:
  {{- merge (include "tracecapture.selectorLabels" . | fromYaml) (.values.podLabels | default dict) $common | toYaml | nindent 2 }}
annotations:
  {{- merge (dict) (.values.podAnnotations | default dict) $annotations | toYaml | nindent 2 }}
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
