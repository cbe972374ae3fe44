package contrib

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

const chart = root + "/helm/kontor"

// render returns the objects of the chart with the values of a file in ci, and
// further ones.
func render(t *testing.T, values string, set ...string) string {
	t.Helper()
	args := []string{"template", "registry", chart, "--namespace", "registry", "-f", filepath.Join(chart, "ci", values)}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	return ok(t, ".", nil, helmBin, args...)
}

// objects decodes each object of a text of YAML into its type: an unknown field, a
// field given twice and an unknown kind are errors.
func objects(t *testing.T, text string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, doc := range strings.Split(text, "\n---\n") {
		var head struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if head.Kind == "" {
			continue // comments
		}
		into := map[string]any{
			"apps/v1 Deployment": &apps.Deployment{}, "batch/v1 Job": &batch.Job{}, "v1 ConfigMap": &core.ConfigMap{}, "v1 Service": &core.Service{},
			"v1 ServiceAccount": &core.ServiceAccount{}, "policy/v1 PodDisruptionBudget": &policy.PodDisruptionBudget{},
			"autoscaling/v2 HorizontalPodAutoscaler": &autoscaling.HorizontalPodAutoscaler{}, "networking.k8s.io/v1 NetworkPolicy": &networking.NetworkPolicy{},
			"networking.k8s.io/v1 Ingress": &networking.Ingress{}, "monitoring.coreos.com/v1 ServiceMonitor": &monitoring.ServiceMonitor{},
			"monitoring.coreos.com/v1 PrometheusRule": &monitoring.PrometheusRule{},
		}[head.APIVersion+" "+head.Kind]
		if into == nil {
			t.Fatalf("the test knows no %s %s", head.APIVersion, head.Kind)
		}
		if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
			t.Errorf("%s %s: %v\n%s", head.Kind, head.Metadata.Name, err, doc)
		}
		name := head.Kind + " " + head.Metadata.Name
		if all[name] != nil {
			t.Errorf("there are two of %s", name)
		}
		all[name] = into
	}
	return all
}

// sole is the one object of type T.
func sole[T any](t *testing.T, all map[string]any) T {
	t.Helper()
	var found []T
	for _, o := range all {
		if o, ok := o.(T); ok {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d objects of %T", len(found), *new(T))
	}
	return found[0]
}

func TestChartIsLinted(t *testing.T) {
	for _, values := range []string{"plain-values.yaml", "whole-values.yaml"} {
		ok(t, ".", nil, helmBin, "lint", "--strict", chart, "-f", filepath.Join(chart, "ci", values))
	}
}

// TestChart renders the chart, and runs its configuration as its Deployment would.
func TestChart(t *testing.T) {
	for name, set := range map[string][]string{
		"plain-values.yaml":                            nil,
		"whole-values.yaml":                            nil,
		"plain-values.yaml without keys of the bucket": {"secrets.s3.name=", "secrets.administrator.name=", "serviceAccount.create=false"},
		"plain-values.yaml with an audit log":          {"audit.mode=changes", "networkPolicy.enabled=false", "podDisruptionBudget.enabled=false"},
		"whole-values.yaml over plain HTTP":            {"secrets.tls.name=", "ingress.enabled=false", "caCertificates.configMap="},
	} {
		t.Run(name, func(t *testing.T) {
			file, _, _ := strings.Cut(name, " ")
			all := objects(t, render(t, file, set...))
			d := sole[*apps.Deployment](t, all)
			hardened(t, d.Spec.Template.Spec)
			selected(t, all, d)
			if len(d.Spec.Template.Spec.TopologySpreadConstraints) == 0 {
				t.Error("the pods are not spread")
			}
			checked(t, d.Spec.Template.Spec, configOf(t, all, d.Spec.Template.Spec))
		})
	}
}

// configOf is the ConfigMap that a pod has its configuration from.
func configOf(t *testing.T, all map[string]any, p core.PodSpec) map[string]string {
	t.Helper()
	for _, v := range p.Volumes {
		if v.Name == "config" {
			if c, ok := all["ConfigMap "+v.ConfigMap.Name].(*core.ConfigMap); ok && c.Data["serve.yaml"] != "" {
				return c.Data
			}
		}
	}
	t.Fatal("the pod has no configuration")
	return nil
}

// hardened checks what a server's pod may do.
func hardened(t *testing.T, p core.PodSpec) {
	t.Helper()
	confined(t, p)
	for what, probe := range map[string]*core.Probe{"/healthz startup": p.Containers[0].StartupProbe, "/healthz liveness": p.Containers[0].LivenessProbe, "/readyz readiness": p.Containers[0].ReadinessProbe} {
		if path, _, _ := strings.Cut(what, " "); probe == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port != intstr.FromString("registry") {
			t.Errorf("%s: %+v", what, probe)
		}
	}
}

// confined checks what any pod may do.
func confined(t *testing.T, p core.PodSpec) {
	t.Helper()
	s, c := p.SecurityContext, p.Containers[0].SecurityContext
	if len(p.Containers) != 1 || len(p.InitContainers) != 0 || s == nil || c == nil {
		t.Fatalf("the pod is %+v", p)
	}
	if !*s.RunAsNonRoot || *s.RunAsUser != 65532 || *s.FSGroup != 65532 || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod runs as %+v", s)
	}
	if !*c.ReadOnlyRootFilesystem || *c.AllowPrivilegeEscalation || !slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"}) || len(c.Capabilities.Add) > 0 {
		t.Errorf("the container runs as %+v", c)
	}
	if *p.AutomountServiceAccountToken {
		t.Error("the pod has a token of the cluster")
	}
	for _, v := range p.Volumes {
		if v.PersistentVolumeClaim != nil || v.HostPath != nil {
			t.Errorf("the volume %s outlives the pod", v.Name)
		}
	}
	if p.Containers[0].Resources.Limits.Memory().IsZero() {
		t.Error("the memory has no limit")
	}
}

// selected checks that what selects pods selects those of the Deployment.
func selected(t *testing.T, all map[string]any, d *apps.Deployment) {
	t.Helper()
	has := d.Spec.Template.Labels
	want := func(what string, selector map[string]string) {
		t.Helper()
		for k, v := range selector {
			if has[k] != v {
				t.Errorf("%s selects %s=%s, and the pods have %q", what, k, v, has[k])
			}
		}
		if len(selector) == 0 {
			t.Errorf("%s selects nothing", what)
		}
	}
	want("the Deployment", d.Spec.Selector.MatchLabels)
	for name, o := range all {
		switch o := o.(type) {
		case *core.Service:
			want(name, o.Spec.Selector)
			for _, p := range o.Spec.Ports {
				if !slices.ContainsFunc(d.Spec.Template.Spec.Containers[0].Ports, func(c core.ContainerPort) bool { return c.Name == p.TargetPort.String() }) {
					t.Errorf("%s: the pods have no port %s", name, p.TargetPort.String())
				}
			}
		case *policy.PodDisruptionBudget:
			want(name, o.Spec.Selector.MatchLabels)
		case *networking.NetworkPolicy:
			want(name, o.Spec.PodSelector.MatchLabels)
		case *autoscaling.HorizontalPodAutoscaler:
			if o.Spec.ScaleTargetRef.Name != d.Name || d.Spec.Replicas != nil {
				t.Errorf("%s scales %s, which has %v replicas", name, o.Spec.ScaleTargetRef.Name, d.Spec.Replicas)
			}
		case *monitoring.ServiceMonitor:
			var found int
			for _, s := range all {
				s, ok := s.(*core.Service)
				if ok && subset(o.Spec.Selector.MatchLabels, s.Labels) {
					found++
					if s.Spec.Ports[0].Name != o.Spec.Endpoints[0].Port {
						t.Errorf("%s has no port %s", s.Name, o.Spec.Endpoints[0].Port)
					}
				}
			}
			if found != 1 {
				t.Errorf("%s selects %d Services", name, found)
			}
		case *monitoring.PrometheusRule:
			if len(o.Spec.Groups) == 0 || len(o.Spec.Groups[0].Rules) == 0 {
				t.Errorf("%s has no alerts", name)
			}
		}
	}
}

func subset(want, has map[string]string) bool {
	for k, v := range want {
		if has[k] != v {
			return false
		}
	}
	return true
}

// checked lets the binary check the configuration with the arguments and environment
// of a server's pod.
func checked(t *testing.T, p core.PodSpec, config map[string]string) {
	t.Helper()
	dir, env, args := placed(t, p, config)
	out := ok(t, dir, env, kontorBin, append(args, "--check")...)
	for _, want := range []string{"0.0.0.0:5050", "PostgreSQL kontor at db.example.com", "S3 bucket registry-blobs", "the configuration is right"} {
		if !strings.Contains(out, want) {
			t.Errorf("kontor serve --check does not say %q:\n%s", want, out)
		}
	}
}

// placed puts the files of a pod where it would have them, below the folder dir, and
// returns its environment and arguments for there.
func placed(t *testing.T, p core.PodSpec, config map[string]string) (dir string, list, args []string) {
	t.Helper()
	dir = t.TempDir()
	under := func(text string) string {
		return strings.NewReplacer("/etc/kontor", dir+"/etc/kontor", "/data/", dir+"/data/").Replace(text)
	}
	c := p.Containers[0]
	for _, m := range c.VolumeMounts {
		at := slices.IndexFunc(p.Volumes, func(v core.Volume) bool { return v.Name == m.Name })
		if at < 0 {
			t.Fatalf("there is no volume %s", m.Name)
		}
		path := dir + m.MountPath
		switch v := p.Volumes[at]; {
		case v.ConfigMap != nil && m.SubPath != "":
			write(t, path, under(config[m.SubPath]))
		case v.ConfigMap != nil:
			write(t, filepath.Join(path, v.ConfigMap.Items[0].Path), string(certificate(t)[0]))
		case v.Projected != nil:
			if *v.Projected.DefaultMode != 0o440 {
				t.Errorf("the mode of secrets is %o", *v.Projected.DefaultMode)
			}
			for _, s := range v.Projected.Sources {
				for _, item := range s.Secret.Items {
					write(t, filepath.Join(path, item.Path), secret(t, item.Path))
				}
			}
		case v.Secret != nil:
			both := certificate(t)
			write(t, filepath.Join(path, "tls.crt"), string(both[0]))
			write(t, filepath.Join(path, "tls.key"), string(both[1]))
		case v.EmptyDir != nil:
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	env := map[string]string{"HOME": "/data", "KONTOR_DATA": "/data"} // of the image, see release/image.go
	for _, e := range c.Env {
		env[e.Name] = under(e.Value)
	}
	if env["KONTOR_DATA"] != "" {
		t.Errorf("the data folder is %s, of the image", env["KONTOR_DATA"])
	}
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	for _, a := range c.Args {
		args = append(args, under(a))
	}
	return dir, list, args
}

// TestChartsSchemaJob runs the job's container with what is there before the other
// objects of the chart: it goes to the database. The tests of the command say what it
// does there.
func TestChartsSchemaJob(t *testing.T) {
	for _, values := range []string{"plain-values.yaml", "whole-values.yaml"} {
		t.Run(values, func(t *testing.T) {
			all := objects(t, render(t, values))
			job := sole[*batch.Job](t, all)
			pod := job.Spec.Template.Spec
			confined(t, pod)
			if pod.RestartPolicy != core.RestartPolicyOnFailure || *job.Spec.ActiveDeadlineSeconds == 0 {
				t.Errorf("the job is %+v", job.Spec)
			}
			server := sole[*apps.Deployment](t, all)
			if pod.Containers[0].Image != server.Spec.Template.Spec.Containers[0].Image {
				t.Errorf("the job runs %s", pod.Containers[0].Image)
			}
			if subset(server.Spec.Selector.MatchLabels, job.Spec.Template.Labels) {
				t.Error("the Service sends requests to the job")
			}
			early := map[string]string{"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded"}
			for _, o := range []map[string]string{job.Annotations, all["ConfigMap "+job.Name].(*core.ConfigMap).Annotations} {
				if !subset(early, o) {
					t.Errorf("what comes before the chart's objects has the annotations %v", o)
				}
			}
			// What a pod needs that the chart makes is not there yet.
			if pod.ServiceAccountName != "" {
				t.Errorf("the job has the service account %s", pod.ServiceAccountName)
			}
			dir, env, args := placed(t, pod, configOf(t, all, pod))
			write(t, filepath.Join(dir, "etc/kontor/secrets/database"), "postgres:///kontor?host="+dir+"/nowhere\n")
			if out, err := run(t, dir, env, kontorBin, args...); err == nil || !strings.Contains(out, dir+"/nowhere") || strings.Contains(out, "serve.yaml:") {
				t.Errorf("the job says %v: %s", err, out)
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		for name := range objects(t, render(t, "plain-values.yaml", "schemaJob.enabled=false")) {
			if strings.HasPrefix(name, "Job ") || strings.HasSuffix(name, "-schema") {
				t.Errorf("there is a %s", name)
			}
		}
	})
}

// certificate is a certificate and its key, in PEM.
func certificate(t *testing.T) [2][]byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registry.example.com"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return [2][]byte{
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	}
}

// TestChartRefuses holds what the chart's schema and templates refuse.
func TestChartRefuses(t *testing.T) {
	for name, c := range map[string]struct{ set, want string }{
		"an unknown value":                 {"replica=3", "replica"},
		"no registry":                      {"config.registries=null", "registries"},
		"an account that is none":          {"config.registries[0].account=42", "account"},
		"no bucket":                        {"config.storage.s3.bucket=", "bucket"},
		"no secret of the database":        {"secrets.database.name=", "/secrets/database/name"},
		"no image":                         {"image.repository=", "/image/repository"},
		"neither tag nor digest":           {"image.tag=", "/image/tag"},
		"a field of the chart's":           {"config.listen=0.0.0.0:80", "the chart sets this field"},
		"a secret among the configuration": {"config.storage.s3.secret_access_key=x", "put the keys of the bucket into a Secret"},
		"a secret of single sign-on":       {"config.single_sign_on[0].client_secret=x", "put the secret of the client into a Secret and name it in secrets.singleSignOn"},
		"a file of such a secret":          {"config.single_sign_on[0].client_secret_file=x", "secrets.singleSignOn"},
		"a secret of no provider":          {"secrets.singleSignOn.name=x", "config.single_sign_on has no provider 0"},
		"a port of the console":            {"config.console_listen=0.0.0.0:80", "the chart has no port for it"},
		"an ingress without hosts":         {"ingress.enabled=true", "/ingress/hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, ".", nil, helmBin, "template", "registry", chart, "-f", filepath.Join(chart, "ci", "plain-values.yaml"), "--set", c.set)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("%v, want %q in\n%s", err, c.want, out)
			}
		})
	}
}

// TestNotes reads what helm says after an installation.
func TestNotes(t *testing.T) {
	out := ok(t, ".", nil, helmBin, "install", "registry", chart, "--namespace", "registry", "--dry-run=client", "-f", filepath.Join(chart, "ci", "whole-values.yaml"))
	_, notes, found := strings.Cut(out, "NOTES:")
	if want := fmt.Sprintf("20 for each server, up to 8 servers and 1 more\nduring an upgrade: %d.", 20*9); !found || !strings.Contains(notes, want) {
		t.Errorf("the notes lack %q:\n%s", want, notes)
	}
}

// equal holds a file against what it is made from; -update writes it.
func equal(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(read(t, path), want) {
		t.Errorf("%s is not what it is made from: run this test with -update", path)
	}
}

// TestManifests holds the plain manifests against the chart.
func TestManifests(t *testing.T) {
	var lines []string
	for line := range strings.Lines(render(t, "plain-values.yaml", "schemaJob.enabled=false")) {
		switch word := strings.TrimSpace(line); {
		case strings.HasPrefix(word, "app.kubernetes.io/managed-by:"), strings.HasPrefix(word, "helm.sh/chart:"), strings.HasPrefix(word, "# Source:"):
		default:
			lines = append(lines, line)
		}
	}
	text := "# Rendered from contrib/helm/kontor with ci/plain-values.yaml, by a test. Change the image,\n" +
		"# and account, region, host, bucket and proxies in the ConfigMap. README.md says which\n# Secrets have to exist.\n" + strings.Join(lines, "")
	equal(t, root+"/kubernetes/kontor.yaml", []byte(text))
	objects(t, text)
}

// TestRulesOfTheChart holds the chart's copy of the alerts against the original.
func TestRulesOfTheChart(t *testing.T) {
	equal(t, chart+"/files/kontor.rules.yaml", read(t, root+"/prometheus/kontor.rules.yaml"))
}
