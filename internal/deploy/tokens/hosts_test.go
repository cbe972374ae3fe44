package tokens_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/kontortest"
)

// TestHosts: a host of this machine is asked with its own credentials, others as
// the file of hosts says, and what neither knows is said to be unknown.
func TestHosts(t *testing.T) {
	reg := kontortest.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", reg.Pusher.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", reg.Pusher.SecretAccessKey)
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	region := ecr.Region(reg.Region)
	var asked []string
	h := &tokens.Hosts{
		File: "hosts.json", Getenv: func(string) string { return "" },
		Config: tokens.Config{Entries: []tokens.Entry{
			{Match: []string{"elsewhere.example"}, Endpoint: reg.URL, Region: region},
			{Match: []string{"here.example"}, Local: true, Data: "folder"},
			{Match: []string{"gone.example"}, Local: true, Data: "empty"},
			{Match: []string{"vague.example"}, Profile: "p"},
		}},
		Local: func(_ context.Context, host, data string) (tokens.Source, error) {
			asked = append(asked, host+" "+data)
			if data == "empty" || host == "strange.example" {
				return tokens.Source{}, tokens.ErrUnknownHost
			}
			return tokens.Source{
				Host: host, Region: region, Endpoint: reg.URL,
				AccessKeyID: reg.Pusher.AccessKeyID, SecretAccessKey: reg.Pusher.SecretAccessKey,
			}, nil
		},
		Warn: func(err error) { t.Error(err) },
	}
	tests := []struct {
		host, err string
		unknown   bool
	}{
		{host: "elsewhere.example"},
		{host: "here.example"},
		{host: reg.Host}, // of which the file says nothing
		{host: "gone.example", err: "registry gone.example: no server of this machine serves it"},
		{host: "vague.example", err: "hosts.json: the entry for vague.example has neither endpoint nor local"},
		{host: "strange.example", err: "unknown host", unknown: true},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			got, err := h.Get(t.Context(), tt.host)
			switch {
			case tt.err == "" && (err != nil || got.User != "AWS" || got.Password == ""):
				t.Errorf("%+v, %v", got, err)
			case tt.err != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.err) || errors.Is(err, tokens.ErrUnknownHost) != tt.unknown):
				t.Errorf("%v, want %q", err, tt.err)
			}
		})
	}
	if got := strings.Join(asked, ", "); got != "here.example folder, "+reg.Host+" , gone.example empty, strange.example " {
		t.Errorf("of this machine were asked: %s", got)
	}

	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			if h.Known(t.Context(), tt.host) == tt.unknown {
				t.Errorf("%s is known: %t", tt.host, !tt.unknown)
			}
		})
	}
	if !h.Known(t.Context(), "111111111111.dkr.ecr.eu-west-1.amazonaws.com") {
		t.Error("a host of Amazon ECR is not known")
	}

	h.Cache = &tokens.Cache{Path: filepath.Join(t.TempDir(), "tokens.json"), Now: time.Now}
	first, err := h.Get(t.Context(), "elsewhere.example")
	if err != nil {
		t.Fatal(err)
	}
	reg.Stop()
	if again, err := h.Get(t.Context(), "elsewhere.example"); err != nil || again.Password != first.Password {
		t.Errorf("a password that is kept: %v", err)
	}
	if _, err := h.Get(t.Context(), "here.example"); err == nil {
		t.Error("a password of this machine was kept")
	}
}

// Another source is asked for hosts that are not known, and where there is no
// password otherwise.
func TestOr(t *testing.T) {
	h := &tokens.Hosts{
		Getenv: func(string) string { return "" },
		Config: tokens.Config{Entries: []tokens.Entry{{Match: []string{"broken.example"}}}},
		Local: func(context.Context, string, string) (tokens.Source, error) {
			return tokens.Source{}, tokens.ErrUnknownHost
		},
	}
	docker := remote.SourceFunc(func(_ context.Context, host string) (remote.Credential, error) {
		if host == "nobody.example" {
			return remote.Credential{}, nil
		}
		return remote.Credential{User: "ann", Password: "of " + host}, nil
	})
	for host, want := range map[string]string{"registry.example": "of registry.example", "broken.example": "of broken.example", "nobody.example": ""} {
		t.Run(host, func(t *testing.T) {
			if c, err := tokens.Or(h, docker).Credential(t.Context(), host); err != nil || c.Password != want {
				t.Errorf("%+v, %v", c, err)
			}
		})
	}
	none := remote.SourceFunc(func(context.Context, string) (remote.Credential, error) { return remote.Credential{}, nil })
	if _, err := tokens.Or(h, none).Credential(t.Context(), "broken.example"); err == nil || !strings.Contains(err.Error(), "has neither endpoint nor local") {
		t.Error(err)
	}
}
