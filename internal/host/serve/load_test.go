package serve

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/server"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var update = flag.Bool("update", false, "write docs/serve.schema.json and the table of docs/serve.md")

const docs = "../../../docs/"

// folder has a master key, an administrator, and the files of a configuration.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := identity.CreateMasterKey(filepath.Join(dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "administrator"), administrator)
	return dir
}

const administrator = "[default]\naws_access_key_id = AKIASERVE0000000TEST\naws_secret_access_key = not-a-secret-but-long-enough\n"

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load reads text, in which DIR stands for dir, and variables NAME=VALUE.
func load(dir, text string, variables ...string) (*Config, error) {
	getenv := func(name string) string {
		for _, v := range variables {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return strings.ReplaceAll(value, "DIR", dir)
			}
		}
		return ""
	}
	return Load(&lang.Source{Name: "serve.yaml", Data: []byte(strings.ReplaceAll(text, "DIR", dir))}, getenv)
}

const one = "data: DIR\nregistries: [{account: \"111111111111\", region: us-east-2}]\n"

func TestLoadRefuses(t *testing.T) {
	dir := folder(t)
	write(t, filepath.Join(dir, "empty"), "\n")
	write(t, filepath.Join(dir, "nothing"), "# nothing\n")
	write(t, filepath.Join(dir, "swapped"), "aws_access_key_id = not-a-key\naws_secret_access_key = not-a-secret-but-long-enough\n")
	write(t, filepath.Join(dir, "secret-first"), "wJalrXUtnFEMI\n")
	two := func(a, b string) string {
		return "data: DIR\nregistries:\n  - {account: \"111111111111\", region: us-east-2" + a + "}\n  - {account: \"222222222222\", region: us-east-2" + b + "}\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"not a mapping", "[1]", "serve.yaml:1:1: want a mapping, not a list"},
		{"not YAML", "a: [", "serve.yaml:1:4: "},
		{"an unknown field", one + "trusted_proxys: []", "serve.yaml:3:1: trusted_proxys: there is no such field: did you mean trusted_proxies?"},
		{"an unknown field of a part", one + "tls: {certificate: a}", "serve.yaml:3:7: tls.certificate: there is no such field: the fields are cert, key"},
		{"an address of the console beyond this machine", one + "console_listen: \"0.0.0.0:5060\"", "serve.yaml:3:17: console_listen: 0.0.0.0:5060: other machines would send passwords over plain HTTP"},
		{"an address of the console that is off", one + "console: off\nconsole_listen: localhost:5060", "serve.yaml:4:17: console_listen: localhost:5060: the web console is off"},
		{"an address of the console that is taken", one + "console_listen: localhost:5050", "console_listen: localhost:5050 is that of listen already"},
		{"a destination twice", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example}, {account: \"222222222222\", region: eu-west-1, host: b.example}]", "replication_destinations[1]: 222222222222/eu-west-1 is listed twice"},
		{"a destination without its password", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, username: u}]", "replication_destinations[0]: give username together with password"},
		{"a URL for a destination", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: \"https://a.example\"}]", "replication_destinations[0].host: \"https://a.example\": want"},
		{"a wrong prefix of a destination", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, prefix: A/}]", "replication_destinations[0].prefix"},
		{"a role that is none", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, role_arn: \"arn:aws:iam::222222222222:user/a\"}]", "replication_destinations[0].role_arn: \"arn:aws:iam::222222222222:user/a\": want the ARN of a role"},
		{"a role and a user", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, username: u, password: p, role_arn: \"arn:aws:iam::222222222222:role/a\"}]", "replication_destinations[0].username: role_arn is given, too"},
		{"an external ID for no role", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, external_id: x}]", "replication_destinations[0].external_id: it is for role_arn"},
		{"half an access key", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, access_key_id: x, role_arn: \"arn:aws:iam::222222222222:role/a\"}]", "replication_destinations[0]: give access_key_id together with secret_access_key"},
		{"an access key and the machine's role", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, access_key_id: x, secret_access_key: y, instance_role: true, role_arn: \"arn:aws:iam::222222222222:role/a\"}]", "replication_destinations[0].instance_role: access_key_id is given, too"},
		{"STS without TLS", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, sts_endpoint: \"http://sts.example\", role_arn: \"arn:aws:iam::222222222222:role/a\"}]", "replication_destinations[0].sts_endpoint: http://sts.example: credentials would be sent without TLS"},
		{"a rate of no images", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, images_per_minute: 0}]", "replication_destinations[0].images_per_minute: \"0\": want a number from 1 to 60000"},
		{"a rate of few bytes", one + "replication_destinations: [{account: \"222222222222\", region: eu-west-1, host: a.example, bytes_per_second: 100}]", "replication_destinations[0].bytes_per_second: \"100\": want a size of at least 1KiB"},
		{"a scanner that is none", one + "scanner: {name: a}", "scanner: give url for a web service, or command for a program"},
		{"a scanner that is two", one + "scanner: {url: \"https://a.example\", command: [a, \"{layout}\"]}", "scanner.command: url is given, too"},
		{"a scanner that is told of no image", one + "scanner: {command: [trivy, image]}", "scanner.command: no argument holds {layout}"},
		{"a scanner with a command's folder", one + "scanner: {url: \"https://a.example\", folder: DIR}", "scanner.folder: it is for command"},
		{"a scanner with a service's header", one + "scanner: {command: [a, \"{layout}\"], authorization: x}", "scanner.authorization: it is for url"},
		{"too many scans", one + "scanner: {command: [a, \"{layout}\"], concurrency: 33}", "scanner.concurrency: \"33\": want a number from 1 to 32"},
		{"a scan that takes no time", one + "scanner: {command: [a, \"{layout}\"], timeout: 1ms}", "scanner.timeout: \"1ms\": want a duration from 1s to 24h"},
		{"memory for nothing", one + "scanner: {command: [a, \"{layout}\"], memory: 1MiB}", "scanner.memory: \"1MiB\": want a size of at least 64MiB"},
		{"single sign-on without a client", one + "single_sign_on: [{name: A, issuer: \"https://a.example\"}]", "single_sign_on[0].client_id: required"},
		{"an issuer over http", one + "single_sign_on: [{name: A, issuer: \"http://a.example\", client_id: c}]", "single_sign_on[0].issuer: \"http://a.example\": want a URL that begins with https://"},
		{"two of a name", one + "single_sign_on: [{name: A, issuer: \"https://a.example\", client_id: c}, {name: A, issuer: \"https://b.example\", client_id: c}]", "single_sign_on[1].name: A is another provider's already"},
		{"a client twice", one + "single_sign_on: [{name: A, issuer: \"https://a.example\", client_id: c}, {name: B, issuer: \"https://a.example\", client_id: c}]", "single_sign_on[1]: the client c of https://a.example is given already"},
		{"a URL for a host", one + "single_sign_on: [{name: A, issuer: \"https://a.example\", client_id: c, hosts: [\"https://b.example\"]}]", "single_sign_on[0].hosts[0]: \"https://b.example\": want a host"},
		{"a secret twice", one + "single_sign_on: [{name: A, issuer: \"https://a.example\", client_id: c, client_secret: s, client_secret_file: DIR/secret-first}]", "single_sign_on[0].client_secret_file: single_sign_on[0].client_secret is given, too"},
		{"a secret's file that is empty", one + "single_sign_on: [{name: A, issuer: \"https://a.example\", client_id: c, client_secret_file: DIR/empty}]", "empty is empty"},
		{"single sign-on without the console", one + "console: off\nsingle_sign_on: [{name: A, issuer: \"https://a.example\", client_id: c}]", "single_sign_on: it is for the web console, which is off"},
		{"an unknown field of a registry", "data: DIR\nregistries: [{acount: 1, region: a}]", "serve.yaml:2:15: registries[0].acount: there is no such field: did you mean account?"},
		{"a field twice", one + "data: DIR", "serve.yaml:3:1: data: given twice"},
		{"a wrong type", one + "insecure_http: 1", "serve.yaml:3:16: insecure_http: want true or false, not a number"},
		{"no list", one + "trusted_proxies: 10.0.0.0/8", "trusted_proxies: want a list, not a string"},
		{"no registries", "data: DIR", "serve.yaml: registries: give at least one"},
		{"no account", "data: DIR\nregistries: [{region: us-east-2}]", "serve.yaml:2:14: registries[0].account: required"},
		{"an account", "data: DIR\nregistries: [{account: \"1\", region: us-east-2}]", "serve.yaml:2:24: registries[0].account: "},
		{"a region", "data: DIR\nregistries: [{account: \"111111111111\", region: \"!\"}]", "registries[0].region: "},
		{"compat", two(", compat: both", ""), `registries[0].compat: "both": want oci or ecr`},
		{"a registry twice", strings.ReplaceAll(two("", ""), "222222222222", "111111111111"), "registries[1]: the registry 111111111111-us-east-2 is that of registries[0] already"},
		{"a host twice", two(", hosts: [a.example]", ", hosts: [A.example]"), "serve.yaml:4:58: registries[1].hosts[0]: the host name A.example is that of registries[0].hosts[0] already"},
		{"a host for any port and for one", two(", hosts: [registry.example]", ", hosts: [\"Registry.example:8443\"]"), "serve.yaml:4:58: registries[1].hosts[0]: Registry.example:8443 and registry.example of registries[0].hosts[0] are the same host name for some requests"},
		{"another's ECR name", two(", hosts: [\"222222222222.dkr.ecr.us-east-2.a.example\"]", ""), "serve.yaml:3:58: registries[0].hosts[0]: 222222222222.dkr.ecr.us-east-2.a.example is a name of registries[1]"},
		{"another's host in external_url", two(", external_url: \"https://a.example:8443\"", ", hosts: [a.example]"), "serve.yaml:4:58: registries[1].hosts[0]: a.example and a.example:8443 of registries[0].external_url are the same host name for some requests"},
		{"the same external_url", two(", external_url: \"https://a.example\"", ", external_url: \"https://A.example\", listen: \"localhost:5001\""), "registries[1].external_url: https://A.example is the URL of registries[0] already"},
		{"a host", two(", hosts: [\"https://a.example\"]", ""), "registries[0].hosts[0]: \"https://a.example\": want a host name"},
		{"listen", one + "listen: 5000", "serve.yaml:3:9: listen: 5000: want HOST:PORT"},
		{"plain HTTP", one + "listen: 0.0.0.0:5000", "serve.yaml:3:9: listen: other machines would send passwords over plain HTTP: give tls, or insecure_http: true"},
		{"plain HTTP of a registry", two("", ", listen: \":5000\""), "registries[1].listen: other machines would send passwords"},
		{"external_url", one + "external_url: registry.example.com", "external_url: registry.example.com: want http://HOST:PORT"},
		{"an ECR name of another registry", one + "external_url: https://222222222222.dkr.ecr.us-east-2.example.com", "its name is of account 222222222222"},
		{"a proxy", one + "trusted_proxies: [proxy]", "trusted_proxies: proxy: want an address or a network"},
		{"PROXY of strangers", one + "proxy_protocol: true", "proxy_protocol: give trusted_proxies"},
		{"half of tls", one + "tls: {cert: DIR/administrator}", "tls: cert and key belong together"},
		{"no certificate", one + "tls: {cert: DIR/none, key: DIR/none}", "serve.yaml:3:13: tls.cert: stat DIR/none: no such file"},
		{"no data", "registries: [{account: \"111111111111\", region: us-east-2}]", "data: give a folder for SQLite"},
		{"no blobs", "registries: [{account: \"111111111111\", region: us-east-2}]\ndatabase: {url: \"postgres:///a\"}", "data: give a folder for blobs"},
		{"no audit", "registries: [{account: \"111111111111\", region: us-east-2}]\ndatabase: {url: \"postgres:///a\"}\nstorage: {s3: {bucket: b}}\n", "data: give a folder for the audit log, or audit: off"},
		{"a database", one + "database: {url: \"postgres://a:secret@b:nope/c\"}", "serve.yaml:3:11: database: reading the address of the metadata database"},
		{"a secret twice", one + "database: {url: a, url_file: b}", "database.url_file: database.url is given, too"},
		{"a database that is a string", one + "database: \"postgres://a:not-a-secret@b/c\"", "database: want a mapping, not a string"},
		{"a database that cannot be read", one + "database: {url: \"postgres://a:not-a-secret/%@b:5432/c\"}", "serve.yaml:3:11: database: reading the address of the metadata database: want postgres://USER"},
		{"an ambiguous database", one + "database: {url: \"postgres://a:x#not-a-secret@b:nope/c\"}", "reading the address of the metadata database"},
		{"sslmode", one + "database: {url: \"postgres://a:not-a-secret@b/c?sslmode=some\"}", "sslmode is invalid"},
		{"an endpoint", one + "storage: {s3: {bucket: b, endpoint: \"a:not-a-secret@b\"}}", "storage.s3: the endpoint is not a URL"},
		{"an endpoint with a password", one + "storage: {s3: {bucket: b, endpoint: \"http://a:not-a-secret@b\"}}", "storage.s3: the endpoint has a user or a password in it"},
		{"a public endpoint", one + "storage: {s3: {bucket: b, redirect: true, public_endpoint: b}}", "storage.s3: the public endpoint is not a URL"},
		{"a public endpoint without redirect", one + "storage: {s3: {bucket: b, public_endpoint: \"http://b\"}}", "storage.s3.public_endpoint: it is for redirect only"},
		{"a prefix", one + "storage: {s3: {bucket: b, prefix: a//b}}", "storage.s3: the prefix"},
		{"metrics_listen", one + "metrics_listen: \"9090\"", "serve.yaml:3:17: metrics_listen: 9090: want HOST:PORT"},
		{"metrics at the same address", one + "metrics_listen: \"localhost:5050\"", "metrics_listen: localhost:5050 is that of listen already"},
		{"two at an address", two(", listen: \"127.0.0.1:5001\"", ", listen: \"127.0.0.1:5001\""), "registries[1].listen: 127.0.0.1:5001 is that of registries[0].listen already"},
		{"not a certificate", one + "tls: {cert: DIR/administrator, key: DIR/administrator}", "serve.yaml:3:6: tls: DIR/administrator and DIR/administrator: tls: failed to find any PEM data"},
		{"no secret", one + "database: {url_file: DIR/none}", "serve.yaml:3:22: database.url_file: open DIR/none"},
		{"an empty secret", one + "database: {url_file: DIR/empty}", "database.url_file: DIR/empty is empty"},
		{"no bucket", one + "storage: {s3: {region: a}}", "storage.s3.bucket: required"},
		{"little memory for a store", one + "storage: {s3: {bucket: b, memory: 64MiB}}", "storage.s3.memory: \"64MiB\": want a size of at least 128MiB"},
		{"half a key of a store", one + "storage: {s3: {bucket: b, access_key_id: a}}", "access_key_id and secret_access_key belong together"},
		{"no master key", one + "master_key_file: DIR/none", "serve.yaml:3:18: master_key_file: DIR/none does not exist, and serve never makes one: restore it if there is data already, else write one with `kontor admin master-key new DIR/none`"},
		{"not a master key", one + "master_key_file: DIR/empty", "1 bytes, want 32"},
		{"no administrator", one + "administrator_file: DIR/none", "administrator_file: open DIR/none: no such file or directory: it has to hold [default], aws_access_key_id"},
		{"nothing of an administrator", one + "administrator_file: DIR/nothing", "administrator_file: DIR/nothing: want aws_access_key_id = ID"},
		{"a wrong key", one + "administrator_file: DIR/swapped", `profile default: access key "not-a-key": want AKIA`},
		{"a line of an administrator", one + "administrator_file: DIR/secret-first", "administrator_file: DIR/secret-first: line 1: want aws_access_key_id = ID"},
		{"identities", one + "identities: DIR/none", "identities: open DIR/none"},
		{"a limit", one + "limits: {request: 1}", "serve.yaml:3:19: limits.request: request is not a limit"},
		{"a limit's value", one + "limits: {requests: many}", `limits.requests: "many" is not a number`},
		{"drain", one + "drain: 15", `serve.yaml:3:8: drain: "15": want a duration, such as 15s`},
		{"grace", one + "grace: -1s", `grace: "-1s": want a duration`},
		{"audit", one + "audit: some", "audit: "},
		{"console", one + "console: maybe", "console: \"maybe\": want on or off"},
		{"lifecycle_every", one + "lifecycle_every: 1ms", "lifecycle_every: 1ms: want a duration from 1s"},
		{"max_expire", one + "max_expire: all", "max_expire: "},
		{"recycle_days", one + "recycle_days: x", "recycle_days: x: want a number of days"},
		{"pull_activity_days", one + "pull_activity_days: -1", "pull_activity_days: -1: want a number of days from 0 to 3650"},
		{"upload_age", one + "upload_age: 1s", "upload_age: 1s: want a duration of 1m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(dir, tt.text)
			if want := strings.ReplaceAll(tt.want, "DIR", dir); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
			if err != nil && (strings.Contains(err.Error(), "wJalrXUtnFEMI") || strings.Contains(err.Error(), "not-a-secret")) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, err := load(dir, one+"drain: x\ngrace: y\nlimits: {a: 1}")
		if err == nil || strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("%v, want three errors", err)
		}
	})
}

// Names that no request could mean both of are taken.
func TestLoadTakesNames(t *testing.T) {
	dir := folder(t)
	for _, tt := range []struct{ name, a, b string }{
		{"different ports", "hosts: [\"a.example:1\"]", "hosts: [\"a.example:2\"]"},
		{"its own in external_url", "hosts: [a.example], external_url: \"https://a.example:8443\"", "hosts: [b.example]"},
		{"the default port in external_url", "external_url: \"https://a.example\"", "hosts: [\"a.example:8443\"]"},
		{"its own ECR name", "hosts: [\"111111111111.dkr.ecr.us-east-2.a.example\"]", "hosts: [b.example]"},
		{"one with an own port", "hosts: [a.example]", "hosts: [\"a.example:8443\"], listen: \"localhost:8443\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "data: DIR\nregistries:\n  - {account: \"111111111111\", region: us-east-2, " + tt.a + "}\n  - {account: \"222222222222\", region: us-east-2, " + tt.b + "}\n"
			if _, err := load(dir, text); err != nil {
				t.Error(err)
			}
		})
	}
}

// Each field has a variable, which takes precedence over the file.
func TestEnvironment(t *testing.T) {
	dir := folder(t)
	write(t, filepath.Join(dir, "url"), "postgres:///from-a-file\n")
	pair, err := server.LocalCA(filepath.Join(dir, "tls"), []string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(dir, one+"drain: 1s\ntls: {cert: nowhere, key: nowhere}\nstorage: {s3: {bucket: b, region: eu-west-1}}", "KONTOR_DRAIN=2s", "KONTOR_LISTEN=localhost:0",
		"KONTOR_DATABASE_URL_FILE=DIR/url", "KONTOR_STORAGE_S3_BUCKET=other", "KONTOR_STORAGE_S3_PATH_STYLE=true", "KONTOR_STORAGE_S3_MEMORY=1GiB",
		"KONTOR_TLS_CERT="+pair.Cert, "KONTOR_TLS_KEY="+pair.Key, "KONTOR_TRUSTED_PROXIES=10.0.0.0/8, fd00::/8",
		"KONTOR_LIMITS=requests=7,blob-bytes=1GiB", `KONTOR_REGISTRIES=[{"account": "333333333333", "region": "eu-west-1", "hosts": ["a.example"]}]`)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Settings
	got := fmt.Sprintln(c.Host.Server.Drain, s.Listen, s.Database.URL, *s.Storage.S3, c.Host.Server.TrustedProxies, c.Host.Server.Limits.Requests, c.Host.Server.Limits.BlobBytes, s.Registries)
	want := "2s localhost:0 postgres:///from-a-file {other eu-west-1  true      false  1GiB} [10.0.0.0/8 fd00::/8] 7 1073741824 [{333333333333 eu-west-1 oci [a.example]  }]\n"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	// No time is not the default.
	if c, err := load(dir, one+"grace: 0s"); err != nil || c.Host.Server.Grace >= 0 {
		t.Errorf("%v", err)
	}
	for variable, want := range map[string]string{
		"KONTOR_INSECURE_HTTP=1": "KONTOR_INSECURE_HTTP: want true or false", "KONTOR_LIMITS=requests": "KONTOR_LIMITS: requests: want NAME=VALUE",
		"KONTOR_REGISTRIES=[{acount: 1}]": "KONTOR_REGISTRIES:1:3: registries[0].acount", "KONTOR_DRAIN=x": "KONTOR_DRAIN: drain: ",
	} {
		if _, err := load(dir, one, variable); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", variable, err, want)
		}
	}
	if _, err := Load(nil, func(string) string { return "" }); err == nil || !strings.HasPrefix(err.Error(), "environment: registries: give at least one") {
		t.Error(err)
	}
	// A whole configuration without a file.
	if _, err := Load(nil, func(name string) string {
		return map[string]string{"KONTOR_DATA": dir, "KONTOR_REGISTRIES": `[{account: "111111111111", region: us-east-2}]`}[name]
	}); err != nil {
		t.Error(err)
	}
}

// The URL of a registry has the name that clients can reach it by.
func TestExternalURL(t *testing.T) {
	dir := folder(t)
	for _, tt := range []struct{ name, text, want string }{
		{"none", one, "[]"},
		{"one registry", one + "external_url: https://registry.example.com", "[https://registry.example.com]"},
		{"its own", "data: DIR\nregistries: [{account: \"111111111111\", region: us-east-2, external_url: \"https://a.example\"}]\nexternal_url: https://b.example", "[https://a.example]"},
		{"several", `data: DIR
external_url: https://registry.example.com:8443
registries:
  - {account: "111111111111", region: us-east-2, hosts: [other.example, registry.example.com]}
  - {account: "222222222222", region: us-east-2, hosts: [second.example]}
  - {account: "333333333333", region: us-east-2}
  - {account: "444444444444", region: us-east-2, listen: "localhost:5001"}
`, "[https://registry.example.com:8443 https://second.example:8443 https://333333333333.dkr.ecr.us-east-2.registry.example.com:8443 https://registry.example.com:5001]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := load(dir, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range c.Host.Registries {
				if u := c.Host.External[r.Name]; u != nil {
					got = append(got, u.String())
				}
			}
			if fmt.Sprint(got) != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(Schema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What Load takes, the schema takes; what the schema refuses, Load refuses.
func TestSchema(t *testing.T) {
	s, dir := compiled(t), folder(t)
	for _, text := range []string{
		one,
		one + "listen: localhost:0\nexternal_url: https://a.example\ninsecure_http: true\ndrain: 15s\ngrace: 5m\naudit: off\nlimits: {requests: 100, blob-bytes: 10GiB}\nrecycle_days: 0\nlog: none\ntls: null",
		one + "trusted_proxies: [10.0.0.0/8]\nproxy_protocol: true\nadministrator_file: DIR/administrator\nmaster_key_file: DIR/master.key\nstorage: {s3: {bucket: b, path_style: true, memory: 1GiB}}\ndatabase: {url: \"postgres:///a\"}",
		one + "unknown: 1", one + "drain: [1]", one + "external_url: a", one + "audit: some", "registries: [{account: \"1\", region: a}]\ndata: DIR", "data: DIR\nregistries: [{region: us-east-2}]",
	} {
		v, errs := lang.Parse(lang.Source{Name: "serve.yaml", Data: []byte(strings.ReplaceAll(text, "DIR", dir))})
		if errs != nil {
			t.Fatal(errs)
		}
		b, err := v.AppendJSON(nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		_, lerr := load(dir, text)
		if serr := s.Validate(doc); (serr == nil) != (lerr == nil) {
			t.Errorf("%s\nschema: %v\nLoad: %v", text, serr, lerr)
		}
	}
}

// TestPublished holds docs/serve.schema.json and the table of docs/serve.md against
// the settings.
func TestPublished(t *testing.T) {
	const begin, end = "<!-- Written by `go test ./internal/host/serve -run TestPublished -update` -->\n", "<!-- End -->\n"
	page, err := os.ReadFile(docs + "serve.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/serve.md has no place for the table")
	}
	for name, want := range map[string]string{"serve.schema.json": string(Schema()), "serve.md": before + begin + "\n" + Table() + "\n" + end + after} {
		if *update {
			if err := os.WriteFile(docs+name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(docs + name); err != nil || string(have) != want {
			t.Errorf("docs/%s is not that of the settings: run go test ./internal/host/serve -run TestPublished -update (%v)", name, err)
		}
	}
	// Each field says what it is.
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for _, f := range fieldsOf(typ) {
			if f.Tag.Get("about") == "" {
				t.Errorf("%s has no text about it", f.name)
			}
			inner := f.Type
			for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				walk(inner)
			}
		}
	}
	walk(reflect.TypeFor[Settings]())
}

// A destination of replication gets its role and its rate.
func TestReplicationDestinations(t *testing.T) {
	dir := folder(t)
	write(t, filepath.Join(dir, "secret"), "of the key\n")
	c, err := load(dir, one+`replication_destinations:
  - {account: "444444444444", region: eu-west-1, host: a.example, role_arn: "arn:aws:iam::444444444444:role/path/replication", external_id: ext-1, secret_access_key_file: DIR/secret, access_key_id: AKIAAAAAAAAAAAAAAAAA}
  - {account: "555555555555", region: eu-west-1, host: b.example, images_per_minute: 30, bytes_per_second: 2MiB}
`)
	if err != nil {
		t.Fatal(err)
	}
	role, rate := ecr.RegistryID{Account: "444444444444", Region: "eu-west-1"}, ecr.RegistryID{Account: "555555555555", Region: "eu-west-1"}
	all := c.Host.Server.Replication
	if to := all[role]; to.Login == nil || to.Create == nil || to.Registry != role || !to.Rate.None() {
		t.Errorf("by a role: %+v", to)
	}
	if to := all[rate]; to.Login != nil || to.Create != nil || to.Rate != (replication.Rate{ImageEvery: 2 * time.Second, BytesPerSecond: 2 << 20}) || to.Rate.String() != "30 images a minute and 2.0 MiB a second" {
		t.Errorf("with a rate: %+v, %s", to, to.Rate)
	}
}
