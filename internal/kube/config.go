package kube

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

// Source says where a cluster's configuration is.
type Source struct {
	// Files are kubeconfig files; of what several define, the first counts.
	// Those that do not exist are passed over, unless none does.
	Files []string
	// Context is the context to use; empty for the files' current one.
	Context string
	// Environ is the environment for credential plugins. Required.
	Environ func() []string
	// Run runs a credential plugin and returns what it prints. Required.
	Run func(command string, args, env []string) ([]byte, error)
}

// file is the part of a kubeconfig that matters here.
type file struct {
	CurrentContext string `yaml:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct{ Cluster, User string }
	}
	Clusters []struct {
		Name    string
		Cluster cluster
	}
	Users []struct {
		Name string
		User user
	}
}

type cluster struct {
	Server   string
	CAFile   string `yaml:"certificate-authority"`
	CAData   string `yaml:"certificate-authority-data"`
	Insecure bool   `yaml:"insecure-skip-tls-verify"`
	TLSName  string `yaml:"tls-server-name"`
	ProxyURL string `yaml:"proxy-url"`

	dir string // that the names of files begin at
}

type user struct {
	Token        string
	TokenFile    string `yaml:"tokenFile"`
	CertFile     string `yaml:"client-certificate"`
	CertData     string `yaml:"client-certificate-data"`
	KeyFile      string `yaml:"client-key"`
	KeyData      string `yaml:"client-key-data"`
	Username     string
	Password     string
	Exec         *plugin
	AuthProvider any    `yaml:"auth-provider"`
	As           string `yaml:"as"`

	dir string
}

// Load reads a kubeconfig and asks its credential plugin, if it has one.
func Load(s Source) (Config, error) {
	var (
		all  file
		seen int
	)
	for _, name := range s.Files {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return Config{}, fmt.Errorf("reading the kubeconfig: %w", err)
		}
		seen++
		f, err := parse(text, filepath.Dir(name))
		if err != nil {
			return Config{}, fmt.Errorf("%s is not a kubeconfig: %w", name, err)
		}
		if all.CurrentContext == "" {
			all.CurrentContext = f.CurrentContext
		}
		all.Contexts = append(all.Contexts, f.Contexts...)
		all.Clusters = append(all.Clusters, f.Clusters...)
		all.Users = append(all.Users, f.Users...)
	}
	if seen == 0 {
		return Config{}, fmt.Errorf("there is no kubeconfig %s", strings.Join(s.Files, " or "))
	}
	c, u, err := all.choose(s.Context)
	if err != nil {
		return Config{}, err
	}
	return s.config(c, u)
}

func parse(text []byte, dir string) (file, error) {
	var f file
	if err := yaml.Unmarshal(text, &f); err != nil {
		return file{}, err
	}
	for i := range f.Clusters {
		f.Clusters[i].Cluster.dir = dir
	}
	for i := range f.Users {
		f.Users[i].User.dir = dir
	}
	return f, nil
}

// choose finds the cluster and the user of a context.
func (f *file) choose(name string) (c cluster, u user, err error) {
	if name == "" {
		name = f.CurrentContext
	}
	if name == "" {
		return c, u, errors.New("the kubeconfig has no current context: pass --context NAME")
	}
	for _, x := range f.Contexts {
		if x.Name != name {
			continue
		}
		found := false
		for i := len(f.Clusters) - 1; i >= 0; i-- {
			if f.Clusters[i].Name == x.Context.Cluster {
				c, found = f.Clusters[i].Cluster, true
			}
		}
		if !found {
			return c, u, fmt.Errorf("context %s of the kubeconfig names the cluster %s, which is not there", name, x.Context.Cluster)
		}
		found = x.Context.User == ""
		for i := len(f.Users) - 1; i >= 0; i-- {
			if f.Users[i].Name == x.Context.User {
				u, found = f.Users[i].User, true
			}
		}
		if !found {
			return c, u, fmt.Errorf("context %s of the kubeconfig names the user %s, who is not there", name, x.Context.User)
		}
		return c, u, nil
	}
	return c, u, fmt.Errorf("the kubeconfig has no context %s", name)
}

func (s Source) config(c cluster, u user) (Config, error) {
	switch {
	case c.ProxyURL != "":
		return Config{}, errors.New("the kubeconfig has a proxy-url: set HTTPS_PROXY instead")
	case u.AuthProvider != nil:
		return Config{}, errors.New("the kubeconfig has an auth-provider, which Kubernetes has given up: use an exec plugin, or pipe kubectl get -o json")
	case u.As != "":
		return Config{}, errors.New("the kubeconfig impersonates a user: pipe kubectl get -o json instead")
	}
	out := Config{Server: c.Server, ServerName: c.TLSName, Insecure: c.Insecure, Username: u.Username, Password: u.Password}
	var err error
	if out.CA, err = material(c.CAData, c.CAFile, c.dir); err != nil {
		return Config{}, err
	}
	if out.ClientCertificate, err = material(u.CertData, u.CertFile, u.dir); err != nil {
		return Config{}, err
	}
	if out.ClientKey, err = material(u.KeyData, u.KeyFile, u.dir); err != nil {
		return Config{}, err
	}
	switch {
	case u.TokenFile != "":
		out.Token = tokenFile(inFolder(u.dir, u.TokenFile))
	case u.Token != "":
		out.Token = func() (string, error) { return u.Token, nil }
	case u.Exec != nil:
		if err := s.exec(*u.Exec, c, u.dir, &out); err != nil {
			return Config{}, err
		}
	}
	return out, nil
}

// The folder in which a pod finds how to reach its cluster.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// InCluster is the configuration of a pod's service account, and whether there
// is one. dir is the folder with its token, "" for where Kubernetes puts it.
func InCluster(getenv func(string) string, dir string) (Config, bool, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return Config{}, false, nil
	}
	if dir == "" {
		dir = serviceAccount
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return Config{}, true, fmt.Errorf("reading the pod's service account: %w", err)
	}
	return Config{Server: "https://" + net.JoinHostPort(host, port), CA: ca, Token: tokenFile(filepath.Join(dir, "token"))}, true, nil
}

// tokenFile reads a token each time: they are renewed every hour.
func tokenFile(name string) func() (string, error) {
	return func() (string, error) {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("reading the token for the cluster: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
}
