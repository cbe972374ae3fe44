package clusters_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// answers are responses in the shapes of the EKS API reference (2017-11-01),
// by method, path and query; those that a test leaves out are answered as EKS
// answers for what is not there.
type answers map[string]string

func (a answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost && r.URL.Path == "/" { // STS
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.Write([]byte(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
			`<Arn>arn:aws:iam::222222222222:user/deployer</Arn><UserId>AIDA</UserId><Account>222222222222</Account>` +
			`</GetCallerIdentityResult></GetCallerIdentityResponse>`))
		return
	}
	key := r.Method + " " + r.URL.EscapedPath()
	if q := r.URL.Query().Get("nextToken"); q != "" {
		key += " " + q
	}
	body, ok := a[key]
	code := ""
	switch {
	case !ok:
		code, body = "ResourceNotFoundException", `{"clusterName":null,"message":"No cluster found for name: apps."}`
	case strings.HasPrefix(body, "!"):
		code, body, _ = strings.Cut(body[1:], " ")
	}
	if code != "" {
		w.Header().Set("X-Amzn-Errortype", code)
		w.WriteHeader(map[string]int{"ResourceNotFoundException": 404, "AccessDeniedException": 403}[code] + map[string]int{"InvalidRequestException": 400}[code])
	}
	_, _ = w.Write([]byte(body))
}

const arn = "arn:aws:iam::222222222222:role/"

// full is a cluster with every kind of nodes. The node groups come on two pages.
func full() answers {
	entry := func(role, kind string) string {
		return `{"accessEntry":{"clusterName":"apps","principalArn":"` + arn + role + `","kubernetesGroups":[],"accessEntryArn":"arn:aws:eks:eu-west-1:222222222222:access-entry/apps/role/222222222222/x/y","createdAt":1.7e9,"modifiedAt":1.7e9,"tags":{},"username":"system:node:{{EC2PrivateDNSName}}","type":"` + kind + `"}}`
	}
	return answers{
		"GET /clusters/apps":                                            `{"cluster":{"name":"apps","arn":"arn:aws:eks:eu-west-1:222222222222:cluster/apps","createdAt":1.7e9,"version":"1.33","roleArn":"` + arn + `control-plane","status":"ACTIVE","computeConfig":{"enabled":true,"nodePools":["general-purpose"],"nodeRoleArn":"` + arn + `auto"},"accessConfig":{"authenticationMode":"API_AND_CONFIG_MAP"}}}`,
		"GET /clusters/apps/node-groups":                                `{"nodegroups":["blue"],"nextToken":"more"}`,
		"GET /clusters/apps/node-groups more":                           `{"nodegroups":["green"],"nextToken":null}`,
		"GET /clusters/apps/node-groups/blue":                           `{"nodegroup":{"nodegroupName":"blue","clusterName":"apps","status":"ACTIVE","capacityType":"ON_DEMAND","nodeRole":"` + arn + `eks/blue","amiType":"AL2023_x86_64_STANDARD"}}`,
		"GET /clusters/apps/node-groups/green":                          `{"nodegroup":{"nodegroupName":"green","clusterName":"apps","status":"ACTIVE","nodeRole":"` + arn + `auto"}}`,
		"GET /clusters/apps/fargate-profiles":                           `{"fargateProfileNames":["jobs"]}`,
		"GET /clusters/apps/fargate-profiles/jobs":                      `{"fargateProfile":{"fargateProfileName":"jobs","clusterName":"apps","podExecutionRoleArn":"` + arn + `fargate","status":"ACTIVE"}}`,
		"GET /clusters/apps/access-entries":                             `{"accessEntries":["` + arn + `auto","` + arn + `karpenter","` + arn + `people"]}`,
		"GET /clusters/apps/access-entries/" + escaped(arn+"karpenter"): entry("karpenter", "EC2_LINUX"),
		"GET /clusters/apps/access-entries/" + escaped(arn+"people"):    entry("people", "STANDARD"),
	}
}

func escaped(s string) string {
	return strings.NewReplacer(":", "%3A", "/", "%2F").Replace(s)
}

// connect reaches a server that answers so, with the SDK's own clients.
func connect(t *testing.T, a http.Handler) *clusters.Conn {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/config")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/credentials")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	c, err := clusters.Connect(t.Context(), state.Cluster{Name: "apps", Account: "222222222222", Region: ecr.Region("eu-west-1"), Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNodeRolesThroughEKS(t *testing.T) {
	with := func(key, body string) answers {
		a := full()
		a[key] = body
		return a
	}
	all := []clusters.Role{
		{ARN: arn + "auto", Found: []string{"auto mode", "node group green"}},
		{ARN: arn + "eks/blue", Found: []string{"node group blue"}},
		{ARN: arn + "fargate", Found: []string{"Fargate profile jobs"}},
		{ARN: arn + "karpenter", Found: []string{"access entry EC2_LINUX"}},
	}
	for _, c := range []struct {
		name string
		a    answers
		want []clusters.Role
		err  string
	}{
		{name: "every kind of nodes, on several pages", a: full(), want: all},
		{
			// EKS user guide, "Change authentication mode": without access entries.
			name: "a cluster that knows roles by its ConfigMap only",
			a:    with("GET /clusters/apps/access-entries", `!InvalidRequestException {"message":"The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation."}`),
			want: all[:3],
		},
		{
			name: "auto mode that is off",
			a:    with("GET /clusters/apps", `{"cluster":{"name":"apps","computeConfig":{"enabled":false,"nodeRoleArn":"`+arn+`never"}}}`),
			want: []clusters.Role{{ARN: arn + "auto", Found: []string{"node group green"}}, all[1], all[2], all[3]},
		},
		{name: "no such cluster", a: answers{}, err: "cluster apps: finding its node roles through EKS (or list them in node_role_arns:): ResourceNotFoundException: No cluster found for name: apps."},
		{
			name: "a caller who may not",
			a:    with("GET /clusters/apps/node-groups/blue", `!AccessDeniedException {"message":"User: u is not authorized to perform: eks:DescribeNodegroup"}`),
			err:  `"Action":"eks:DescribeNodegroup"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := connect(t, c.a).NodeRoles(t.Context())
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q in it", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What a file gives is not asked for.
func TestNodeRolesOfTheFile(t *testing.T) {
	c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			t.Errorf("%s %s was called", r.Method, r.URL)
		}
		answers{}.ServeHTTP(w, r)
	}))
	c.Cluster.NodeRoleARNs = []string{arn + "b", arn + "a"}
	got, err := c.NodeRoles(t.Context())
	want := []clusters.Role{{ARN: arn + "a", Found: []string{"node_role_arns"}}, {ARN: arn + "b", Found: []string{"node_role_arns"}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// The answers are JSON, so that the test is about shapes and not about typos.
func TestAnswersAreJSON(t *testing.T) {
	for key, body := range full() {
		if !json.Valid([]byte(body)) {
			t.Errorf("%s: %s", key, body)
		}
	}
}
