package serve

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// Bounds of what is said of the scanner.
const (
	leastScanTime, mostScanTime = time.Second, 24 * time.Hour
	leastScanMemory             = 64 << 20
	mostScans                   = 32
)

// scanner checks what scans images.
func (c *Config) scanner(d *decoder) {
	s := c.Settings.Scanner
	if s == nil {
		return
	}
	out := &server.ScannerConfig{Name: s.Name}
	if out.Name == "" {
		out.Name = "scanner"
	}
	switch {
	case s.URL == "" && len(s.Command) == 0:
		d.wrong("scanner", "give url for a web service, or command for a program")
	case s.URL != "" && len(s.Command) > 0:
		d.wrong("scanner.command", "url is given, too: give one of them")
	case s.URL != "":
		out.Adapter = c.scannerAdapter(d, s)
	default:
		out.Command = c.scannerCommand(d, s)
	}
	if s.RegistryURL != "" {
		u, err := url.Parse(s.RegistryURL)
		switch {
		case err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https":
			d.wrong("scanner.registry_url", "%q: want http://HOST:PORT or https://HOST:PORT", s.RegistryURL)
		case len(c.Settings.Registries) > 1:
			d.wrong("scanner.registry_url", "the server has several registries, which have a URL each: give these as external_url")
		}
		out.RegistryURL = u
	}
	if s.Timeout != "" {
		t, err := time.ParseDuration(string(s.Timeout))
		if err != nil || t < leastScanTime || t > mostScanTime {
			d.wrong("scanner.timeout", "%q: want a duration from 1s to 24h, such as 10m", s.Timeout)
		}
		out.Timeout = t
	}
	if s.Concurrency != "" {
		n, err := strconv.Atoi(s.Concurrency)
		if err != nil || n < 1 || n > mostScans {
			d.wrong("scanner.concurrency", "%q: want a number from 1 to %d", s.Concurrency, mostScans)
		}
		out.Slots = n
	}
	c.Host.Server.Scanner = out
}

func (c *Config) scannerAdapter(d *decoder, s *Scanner) *scanning.AdapterConfig {
	a := &scanning.AdapterConfig{Private: s.Private, Authorization: s.Authorization}
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "http" && u.Scheme != "https" {
		d.wrong("scanner.url", "%q: want the URL of the scanner, such as https://scanner.example.com", s.URL)
	}
	a.URL = u
	if s.CAFile != "" {
		pem, err := os.ReadFile(filepath.Clean(s.CAFile))
		if err == nil {
			a.Trust, err = upstream.ParseTrust(pem)
		}
		if err != nil {
			d.wrong("scanner.ca_file", "%v", err)
		}
	}
	for _, f := range []struct {
		way   string
		given bool
	}{{"sbom_command", len(s.SBOMCommand) > 0}, {"folder", s.Folder != ""}, {"memory", s.Memory != ""}} {
		if f.given {
			d.wrong("scanner."+f.way, "it is for command, and url is given")
		}
	}
	return a
}

func (c *Config) scannerCommand(d *decoder, s *Scanner) *scanning.CommandConfig {
	p := &scanning.CommandConfig{Command: s.Command, BillCommand: s.SBOMCommand, Folder: s.Folder}
	if err := p.Check(); err != nil {
		d.wrong("scanner.command", "%v", err)
	}
	if s.Folder != "" {
		if info, err := os.Stat(s.Folder); err != nil || !info.IsDir() {
			d.wrong("scanner.folder", "%s is no folder", s.Folder)
		}
	}
	if s.Memory != "" {
		n, ok := server.ParseSize(s.Memory)
		if !ok || n < leastScanMemory {
			d.wrong("scanner.memory", "%q: want a size of at least 64MiB, such as 2GiB", s.Memory)
		}
		p.MaxMemory = n
	}
	for _, f := range []struct {
		way   string
		given bool
	}{{"private", s.Private}, {"ca_file", s.CAFile != ""}, {"authorization", s.Authorization != ""}, {"registry_url", s.RegistryURL != ""}} {
		if f.given {
			d.wrong("scanner."+f.way, "it is for url, and command is given")
		}
	}
	return p
}
