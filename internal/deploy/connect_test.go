package deploy_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/kontortest"
)

// contains fails unless err's text has every word.
func contains(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error has several lines: %q", err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q, want %q in it", err, w)
		}
	}
}

// awsHome gives the test an AWS configuration of its own.
func awsHome(t *testing.T, config string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestConnect(t *testing.T) {
	reg := kontortest.Start(t)
	conn := connect(t, reg)
	if want := "arn:aws:iam::" + reg.Account + ":user/"; !strings.HasPrefix(conn.Caller, want) {
		t.Errorf("caller %q, want %s...", conn.Caller, want)
	}

	t.Run("a profile of the AWS configuration", func(t *testing.T) {
		awsHome(t, "[profile mine]\naws_access_key_id = "+reg.Admin.AccessKeyID+"\naws_secret_access_key = "+reg.Admin.SecretAccessKey+"\n")
		to := target(reg)
		to.Local, to.Profile = false, "mine"
		c, err := deploy.Connect(t.Context(), deploy.ConnectConfig{Target: to})
		if err != nil {
			t.Fatal(err)
		}
		if c.Caller != conn.Caller {
			t.Errorf("caller %s, want %s", c.Caller, conn.Caller)
		}
	})
}

func TestConnectRefuses(t *testing.T) {
	reg := kontortest.Start(t)
	config := func(change func(*deploy.ConnectConfig)) deploy.ConnectConfig {
		c := deploy.ConnectConfig{Target: target(reg), AccessKeyID: reg.Admin.AccessKeyID, SecretAccessKey: reg.Admin.SecretAccessKey}
		change(&c)
		return c
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		config deploy.ConnectConfig
		words  []string
	}{
		{
			"credentials of another account than the target's",
			config(func(c *deploy.ConnectConfig) { c.Target.Registry.Account = "999999999999" }),
			[]string{"registry test is in account 999999999999", "of account " + reg.Account, "AWS_PROFILE"},
		},
		{
			"nothing listens",
			config(func(c *deploy.ConnectConfig) { c.Target.Endpoint = "http://" + nobody }),
			[]string{"nothing listens at " + nobody},
		},
		{
			"an unknown access key",
			config(func(c *deploy.ConnectConfig) { c.AccessKeyID = "AKIAIOSFODNN7EXAMPLE" }),
			[]string{"the access key is not known there"},
		},
		{
			"a wrong secret",
			config(func(c *deploy.ConnectConfig) { c.SecretAccessKey = "x" }),
			[]string{"the secret key does not belong to the access key"},
		},
		{
			"a local target without its own credentials",
			deploy.ConnectConfig{Target: target(reg)},
			[]string{"its own credentials"},
		},
		{
			"no credentials anywhere",
			deploy.ConnectConfig{Target: state.Target{Name: "prod", Registry: target(reg).Registry, Endpoint: reg.URL}},
			[]string{"registry prod: no AWS credentials", "AWS_PROFILE"},
		},
		{
			"a profile that does not exist",
			deploy.ConnectConfig{Target: state.Target{Name: "prod", Registry: target(reg).Registry, Endpoint: reg.URL, Profile: "nope"}},
			[]string{"no profile nope"},
		},
	}
	awsHome(t, "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := deploy.Connect(t.Context(), tt.config)
			contains(t, err, tt.words...)
		})
	}
}

func TestDeniedCallNamesTheAction(t *testing.T) {
	reg := kontortest.Start(t)
	pusher := connectAs(t, reg, reg.Pusher, nil)
	p := plan.Diff(wanted(repo("api", policyA, "")), state.Observed{Target: pusher.Target})
	r := apply(t, pusher, p)
	if r.Repositories[0].Status != deploy.StatusFailed || !strings.Contains(r.Repositories[0].Error, "the caller needs ecr:CreateRepository") {
		t.Errorf("result %+v", r.Repositories[0])
	}
}
