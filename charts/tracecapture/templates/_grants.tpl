{{/*
Roles and bindings out of `files/rbac`, where each rule says why it is there.

The files speak of an installation in `tracecapture-system` that watches `shop`; here they become those of this release:
- what lies in `shop` is made in each watched namespace, what lies in `tracecapture-system` in the release's,
- what belongs to no namespace keeps its name, with the suffix of the values,
- with `split`, ClusterRoles become a Role in each watched namespace: nothing is aggregated there.
*/}}
{{- define "tracecapture.grants" -}}
{{- $context := .context -}}
{{- $account := .account -}}
{{- $split := .split -}}
{{- $labels := include "tracecapture.labels" . | fromYaml -}}
{{- range $document := splitList "\n---\n" (.context.Files.Get (printf "files/rbac/%s.yaml" .file)) -}}
{{- $given := fromYaml $document -}}
{{- $home := get $given.metadata "namespace" -}}
{{- $namespaces := list $context.Release.Namespace -}}
{{- if or (eq $home "shop") (and $split (not $home)) -}}
{{- $namespaces = $context.Values.watchNamespaces -}}
{{- end -}}
{{- range $namespace := $namespaces -}}
{{- $made := deepCopy $given -}}
{{- $name := $given.metadata.name -}}
{{- $metadata := dict "labels" $labels -}}
{{- if or $home $split -}}
{{- $_ := set $metadata "namespace" $namespace -}}
{{- /* Two roles of one name, where the installation watches its own namespace. */ -}}
{{- if and (eq $home "shop") (eq $namespace $context.Release.Namespace) (not (hasSuffix "-captures" $name)) -}}
{{- $name = printf "%s-captures" $name -}}
{{- end -}}
{{- else -}}
{{- $name = include "tracecapture.clusterName" (dict "context" $context "name" $name) -}}
{{- $_ := set $metadata "labels" (merge (dict) $labels (get $given.metadata "labels" | default dict)) -}}
{{- end -}}
{{- if and $split (not $home) -}}
{{- $_ := set $made "kind" "Role" -}}
{{- end -}}
{{- $_ := set $metadata "name" $name -}}
{{- $_ := set $made "metadata" $metadata -}}
{{- if $made.roleRef -}}
{{- $_ := set $made.roleRef "name" $name -}}
{{- end -}}
{{- range $subject := $made.subjects -}}
{{- $_ := set $subject "name" $account -}}
{{- $_ := set $subject "namespace" $context.Release.Namespace -}}
{{- end }}
---
{{ toYaml $made }}
{{- end -}}
{{- end -}}
{{- end }}
