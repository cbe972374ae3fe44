package contrib

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
)

// TestCompose loads the compose file as compose does, and lets the binary check the
// configuration in it.
func TestCompose(t *testing.T) {
	dir := root + "/compose"
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")},
		cli.WithEnv([]string{"KONTOR_IMAGE=registry.example.com/kontor:v1", "S3_ACCESS_KEY_ID=key", "S3_SECRET_ACCESS_KEY=secret"}), cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.GetService("kontor")
	if err != nil {
		t.Fatal(err)
	}
	if s.Image != "registry.example.com/kontor:v1" || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) {
		t.Errorf("the server is %+v", s)
	}
	for _, port := range s.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("plain HTTP is published on %q", port.HostIP)
		}
	}
	home := t.TempDir()
	for _, name := range s.Secrets {
		file := p.Secrets[name.Source].File
		if filepath.Base(file) != name.Source {
			t.Errorf("the secret %s is in %s", name.Source, file)
		}
		write(t, filepath.Join(home, "run", "secrets", name.Source), secret(t, name.Source))
	}
	under := strings.NewReplacer("/run/secrets", home+"/run/secrets", "/etc/kontor", home+"/etc/kontor")
	for _, c := range s.Configs {
		write(t, home+c.Target, under.Replace(p.Configs[c.Source].Content))
	}
	data := "/data" // of the image
	if v := s.Environment["KONTOR_DATA"]; v != nil {
		data = *v
	}
	args := []string{}
	for _, a := range s.Command {
		args = append(args, under.Replace(a))
	}
	out := ok(t, home, []string{"KONTOR_DATA=" + data}, kontorBin, append(args, "--check")...)
	for _, want := range []string{"PostgreSQL kontor at db.example.com", "S3 bucket registry-blobs at http://s3:7070", "the configuration is right"} {
		if !strings.Contains(out, want) {
			t.Errorf("kontor serve --check does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, " /data") {
		t.Errorf("the data folder is that of the image:\n%s", out)
	}
}

// TestUnits runs what the units start, with the credentials and variables that they
// give.
func TestUnits(t *testing.T) {
	for _, c := range []struct{ name, unit, config, want string }{
		{"kontor serve, one machine", "kontor-serve.service", "listen: localhost:5050\nregistries:\n  - {account: \"111111111111\", region: us-east-2}\n", "SQLite in"},
		{
			"kontor serve, PostgreSQL and S3", "kontor-serve.service",
			"listen: localhost:5050\nregistries:\n  - {account: \"111111111111\", region: us-east-2}\nstorage: {s3: {bucket: registry-blobs}}\ndatabase: {url: \"postgres://kontor@db.example.com/kontor\"}\ndrain: 20s\ngrace: 5m\n",
			"S3 bucket registry-blobs",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			specifiers := strings.NewReplacer("%d", home+"/credentials", "%S", home+"/state")
			var env, command []string
			write(t, home+"/state/kontor/file", "")
			for line := range strings.Lines(string(read(t, root+"/"+c.unit))) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				switch value = specifiers.Replace(value); key {
				case "ExecStart":
					command = strings.Fields(value)
				case "Environment":
					env = append(env, value)
				case "LoadCredential":
					name, _, _ := strings.Cut(value, ":")
					text := c.config
					if name != "serve.yaml" {
						text = secret(t, name)
					}
					write(t, filepath.Join(home, "credentials", name), text)
				}
			}
			if len(command) == 0 || filepath.Base(command[0]) != "kontor" {
				t.Fatalf("the unit starts %q", command)
			}
			out := ok(t, home, env, kontorBin, append(command[1:], "--check")...)
			if !strings.Contains(out, c.want) || !strings.Contains(out, home+"/credentials/master.key") {
				t.Errorf("kontor serve --check does not say %q:\n%s", c.want, out)
			}
		})
	}
}
