package kube

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// plugin is a kubeconfig's command that prints credentials.
type plugin struct {
	APIVersion string `yaml:"apiVersion"`
	Command    string
	Args       []string
	Env        []struct{ Name, Value string }
	// InstallHint says where to get the command.
	InstallHint        string `yaml:"installHint"`
	ProvideClusterInfo bool   `yaml:"provideClusterInfo"`
}

// credential is what a plugin prints, and with a spec what it is asked with.
type credential struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Spec       *credentialSpec   `json:"spec,omitzero"`
	Status     *credentialStatus `json:"status,omitzero"`
}

type credentialSpec struct {
	Interactive bool               `json:"interactive"`
	Cluster     *credentialCluster `json:"cluster,omitzero"`
}

type credentialCluster struct {
	Server   string `json:"server"`
	CAData   []byte `json:"certificate-authority-data,omitzero"`
	Insecure bool   `json:"insecure-skip-tls-verify,omitzero"`
	TLSName  string `json:"tls-server-name,omitzero"`
}

type credentialStatus struct {
	Token                 string `json:"token"`
	ClientCertificateData string `json:"clientCertificateData"`
	ClientKeyData         string `json:"clientKeyData"`
}

// The version of a plugin's input and output is the one that the kubeconfig
// names.
const execGroup = "client.authentication.k8s.io/"

// exec runs the plugin p of a kubeconfig in dir, and puts what it prints into
// out.
func (s Source) exec(p plugin, c cluster, dir string, out *Config) error {
	if !strings.HasPrefix(p.APIVersion, execGroup) {
		return fmt.Errorf("the credential plugin %s speaks %q, not %sv1", p.Command, p.APIVersion, execGroup)
	}
	ask := credential{APIVersion: p.APIVersion, Kind: "ExecCredential", Spec: &credentialSpec{}}
	if p.ProvideClusterInfo {
		ask.Spec.Cluster = &credentialCluster{Server: c.Server, CAData: out.CA, Insecure: c.Insecure, TLSName: c.TLSName}
	}
	info, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	env := append(s.Environ(), "KUBERNETES_EXEC_INFO="+string(info))
	for _, e := range p.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	command := p.Command
	if strings.ContainsRune(command, filepath.Separator) {
		command = inFolder(dir, command) // others are looked up in PATH
	}
	text, err := s.Run(command, p.Args, env)
	if err != nil {
		hint := ""
		if p.InstallHint != "" {
			hint = "\n" + strings.TrimSpace(p.InstallHint)
		}
		return fmt.Errorf("the kubeconfig's credential plugin %s failed: %w%s", p.Command, err, hint)
	}
	var got credential
	if err := json.Unmarshal(text, &got); err != nil || got.Kind != "ExecCredential" || got.Status == nil {
		return fmt.Errorf("the kubeconfig's credential plugin %s printed no ExecCredential", p.Command)
	}
	if got.APIVersion != p.APIVersion {
		return fmt.Errorf("the kubeconfig's credential plugin %s speaks %s, and was asked in %s", p.Command, got.APIVersion, p.APIVersion)
	}
	if got.Status.Token == "" && got.Status.ClientCertificateData == "" {
		return fmt.Errorf("the kubeconfig's credential plugin %s printed neither a token nor a certificate", p.Command)
	}
	if token := got.Status.Token; token != "" {
		out.Token = func() (string, error) { return token, nil }
	}
	if got.Status.ClientCertificateData != "" {
		out.ClientCertificate, out.ClientKey = []byte(got.Status.ClientCertificateData), []byte(got.Status.ClientKeyData)
	}
	return nil
}

// material is what a kubeconfig holds in base64 or names a file for.
func material(data, name, dir string) ([]byte, error) {
	switch {
	case data != "":
		b, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return nil, fmt.Errorf("the kubeconfig has a certificate or key that is not base64: %w", err)
		}
		return b, nil
	case name != "":
		b, err := os.ReadFile(inFolder(dir, name))
		if err != nil {
			return nil, fmt.Errorf("reading what the kubeconfig names: %w", err)
		}
		return b, nil
	}
	return nil, nil
}

// inFolder is the file name, in dir if it is relative.
func inFolder(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
