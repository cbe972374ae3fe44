package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// Config is what to serve: settings that were checked, with what they name.
type Config struct {
	// Settings have defaults filled in, and secrets that stand in files.
	Settings Settings
	// Host is how to serve, but for stores, log and metrics.
	Host host.Config

	key        identity.MasterKey
	identities declared.File
	// administrators are the keys of administrator_file, by account.
	administrators map[ecr.AccountID]identity.Credentials
	uploadMemory   int64 // bytes; 0 for the store's default
}

// Load reads a file, nil for none, and the environment over it, and checks them.
// Its error is a lang.Errors.
func Load(source *lang.Source, getenv func(string) string) (*Config, error) {
	d := &decoder{places: map[string]state.Position{"": {File: "environment"}}}
	c := &Config{}
	if source != nil {
		v, errs := lang.Parse(*source)
		d.errs = append(d.errs, errs...)
		if v != nil {
			d.value(v, reflect.ValueOf(&c.Settings).Elem(), "")
		}
		d.places[""] = state.Position{File: source.Name} // whole, not its first field
	}
	d.environment(reflect.ValueOf(&c.Settings).Elem(), "", getenv)
	if len(d.errs) == 0 {
		c.check(d)
	}
	if len(d.errs) > 0 {
		return nil, d.errs
	}
	return c, nil
}

// check fills in c, and reports to d what is wrong.
func (c *Config) check(d *decoder) {
	s := &c.Settings
	c.secrets(d)
	c.addresses(d)
	c.console(d)
	c.registries(d)
	c.data(d)
	c.server(d)
	c.events(d)
	if s.AdministratorFile != "" {
		c.readAdministrators(d)
	}
	var err error
	if c.identities, err = declared.Load(s.Identities); err != nil {
		d.wrong("identities", "%v", err)
	}
	c.Host.Server.Organizations = c.identities.AccountsOf()
}

// secrets reads those that stand in files.
func (c *Config) secrets(d *decoder) {
	read := func(way string, value *string, file string) {
		switch {
		case file == "":
			return
		case *value != "":
			d.wrong(way+"_file", "%s is given, too: give one of them", way)
			return
		}
		b, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			d.wrong(way+"_file", "%v", err)
			return
		}
		if *value = strings.TrimSpace(string(b)); *value == "" {
			d.wrong(way+"_file", "%s is empty", file)
		}
	}
	for i := range c.Settings.SingleSignOn {
		p := &c.Settings.SingleSignOn[i]
		read(fmt.Sprintf("single_sign_on[%d].client_secret", i), &p.ClientSecret, p.ClientSecretFile)
	}
	if s := c.Settings.Scanner; s != nil {
		read("scanner.authorization", &s.Authorization, s.AuthorizationFile)
	}
	for i := range c.Settings.Events.Receivers {
		r := &c.Settings.Events.Receivers[i]
		read(fmt.Sprintf("events.receivers[%d].url", i), &r.URL, r.URLFile)
		read(fmt.Sprintf("events.receivers[%d].secret", i), &r.Secret, r.SecretFile)
	}
	for i := range c.Settings.ReplicationDestinations {
		r := &c.Settings.ReplicationDestinations[i]
		read(fmt.Sprintf("replication_destinations[%d].access_key_id", i), &r.AccessKeyID, r.AccessKeyIDFile)
		read(fmt.Sprintf("replication_destinations[%d].secret_access_key", i), &r.SecretAccessKey, r.SecretAccessKeyFile)
	}
	db := &c.Settings.Database
	read("database.url", &db.URL, db.URLFile)
	if x := c.Settings.Storage.S3; x != nil {
		read("storage.s3.access_key_id", &x.AccessKeyID, x.AccessKeyIDFile)
		read("storage.s3.secret_access_key", &x.SecretAccessKey, x.SecretAccessKeyFile)
		if (x.AccessKeyID == "") != (x.SecretAccessKey == "") && len(d.errs) == 0 {
			d.wrong("storage.s3", "access_key_id and secret_access_key belong together: give both, or none")
		}
		if x.Bucket == "" {
			d.wrong("storage.s3", "bucket is required")
		} else if err := x.config().Check(); err != nil {
			d.wrong("storage.s3", "%v", err)
		}
		if x.PublicEndpoint != "" && !x.Redirect {
			d.wrong("storage.s3.public_endpoint", "it is for redirect only: give redirect: true, or leave it out")
		}
	}
}

// addresses checks where to listen, and whom to trust.
func (c *Config) addresses(d *decoder) {
	s := &c.Settings
	if s.Listen == "" {
		s.Listen = host.DefaultListen
	}
	var err error
	if c.Host.Host, c.Host.Port, err = host.ParseListen(s.Listen); err != nil {
		d.wrong("listen", "%v", err)
	}
	listens := map[string]string{"listen": c.Host.Host}
	for i, r := range s.Registries {
		if r.Listen == "" {
			continue
		}
		way := fmt.Sprintf("registries[%d].listen", i)
		if listens[way], _, err = host.ParseListen(r.Listen); err != nil {
			d.wrong(way, "%v", err)
			delete(listens, way)
		}
	}
	c.ports(d)
	if (s.TLS.Cert == "") != (s.TLS.Key == "") {
		d.wrong("tls", "cert and key belong together: give both")
	}
	c.Host.TLS = host.TLS{Cert: s.TLS.Cert, Key: s.TLS.Key}
	there := s.TLS.Cert != "" && s.TLS.Key != ""
	for _, file := range []struct{ way, name string }{{"tls.cert", s.TLS.Cert}, {"tls.key", s.TLS.Key}} {
		if _, err := os.Stat(file.name); file.name != "" && err != nil {
			d.wrong(file.way, "%v", err)
			there = false
		}
	}
	if there {
		if _, err := tls.LoadX509KeyPair(s.TLS.Cert, s.TLS.Key); err != nil {
			d.wrong("tls", "%s and %s: %v", s.TLS.Cert, s.TLS.Key, err)
		}
	}
	for _, way := range slices.Sorted(maps.Keys(listens)) {
		if !host.IsLoopback(listens[way]) && !c.Host.TLS.On() && !s.InsecureHTTP {
			d.wrong(way, "other machines would send passwords over plain HTTP: give tls, or insecure_http: true where a proxy before the server ends TLS")
		}
	}
	if c.Host.Server.TrustedProxies, err = host.ParseProxies(s.TrustedProxies); err != nil {
		d.wrong("trusted_proxies", "%s", strings.TrimPrefix(err.Error(), "--trusted-proxy "))
	}
	c.upstreams(d)
	c.replication(d)
	c.scanner(d)
	if s.ProxyProtocol {
		if len(s.TrustedProxies) == 0 {
			d.wrong("proxy_protocol", "give trusted_proxies: only their connections begin with a header of the PROXY protocol")
		}
		c.Host.Listener = c.proxyProtocol
	}
}

// upstreams checks the registries that rules may name.
func (c *Config) upstreams(d *decoder) {
	for i, u := range c.Settings.Upstreams {
		way := fmt.Sprintf("upstreams[%d]", i)
		h, err := upstream.ParseHost(u.Host)
		if err != nil {
			d.wrong(way+".host", "%v", err)
		}
		h.Private, h.PlainHTTP, h.Address = u.Private, u.InsecureHTTP, u.Address
		if _, _, err := net.SplitHostPort(u.Address); u.Address != "" && err != nil {
			d.wrong(way+".address", "%q: want HOST:PORT", u.Address)
		}
		if u.CAFile != "" {
			pem, err := os.ReadFile(filepath.Clean(u.CAFile))
			if err == nil {
				h.Trust, err = upstream.ParseTrust(pem)
			}
			if err != nil {
				d.wrong(way+".ca_file", "%v", err)
			}
		}
		c.Host.Server.Upstreams = append(c.Host.Server.Upstreams, h)
	}
	if folder := c.Settings.UpstreamFolder; folder != "" {
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			d.wrong("upstream_folder", "%s is no folder", folder)
		}
		c.Host.Server.UpstreamFolder = folder
	}
}

// console checks whether the web console is served.
func (c *Config) console(d *decoder) {
	off, err := host.ParseConsole(c.Settings.Console)
	if err != nil {
		d.wrong("console", "%v", err)
	}
	c.Host.Server.NoConsole = off
	if err := host.CheckConsoleListen(c.Settings.ConsoleListen, off, c.Host.TLS.On() || c.Settings.InsecureHTTP); err != nil {
		d.wrong("console_listen", "%v", err)
	}
	c.Host.Console = c.Settings.ConsoleListen
	c.singleSignOn(d)
}

// singleSignOn checks the providers that people log in with.
func (c *Config) singleSignOn(d *decoder) {
	names, clients := map[string]bool{}, map[string]bool{}
	for i, s := range c.Settings.SingleSignOn {
		way := fmt.Sprintf("single_sign_on[%d]", i)
		p := authn.Provider{Name: s.Name, Issuer: s.Issuer, ClientID: s.ClientID, ClientSecret: s.ClientSecret, Scopes: s.Scopes, Hosts: s.Hosts}
		if err := authn.CheckIssuerURL(s.Issuer); err != nil {
			d.wrong(way+".issuer", "%v", err)
		}
		for j, h := range s.Hosts {
			if err := authn.CheckHost(h); err != nil {
				d.wrong(fmt.Sprintf("%s.hosts[%d]", way, j), "%v", err)
			}
		}
		if names[s.Name] {
			d.wrong(way+".name", "%s is another provider's already", s.Name)
		}
		if client := s.Issuer + "\x00" + s.ClientID; clients[client] {
			d.wrong(way, "the client %s of %s is given already", s.ClientID, s.Issuer)
		} else {
			clients[client] = true
		}
		names[s.Name] = true
		c.Host.Server.SignIn = append(c.Host.Server.SignIn, p)
	}
	if c.Host.Server.NoConsole && len(c.Settings.SingleSignOn) > 0 {
		d.wrong("single_sign_on", "it is for the web console, which is off: give console: on, or leave it out")
	}
}

// ports finds addresses that two would listen on.
func (c *Config) ports(d *decoder) {
	s := &c.Settings
	type place struct{ way, text string }
	all := []place{{"listen", s.Listen}}
	if len(s.Registries) > 0 && !slices.ContainsFunc(s.Registries, func(r Registry) bool { return r.Listen == "" }) {
		all = nil // each registry has its own
	}
	for i, r := range s.Registries {
		all = append(all, place{fmt.Sprintf("registries[%d].listen", i), r.Listen})
	}
	if s.ConsoleListen != "" {
		all = append(all, place{"console_listen", s.ConsoleListen})
	}
	if s.MetricsListen != "" {
		if _, _, err := host.ParseListen(s.MetricsListen); err != nil {
			d.wrong("metrics_listen", "%v", err)
		}
		all = append(all, place{"metrics_listen", s.MetricsListen})
	}
	taken := map[string]string{} // with the way to the first
	for _, p := range all {
		at, port, err := host.ParseListen(p.text)
		if err != nil || port == 0 {
			continue
		}
		if ip := net.ParseIP(at); ip != nil && ip.IsUnspecified() {
			at = ""
		}
		key := net.JoinHostPort(at, strconv.Itoa(port))
		if first := taken[key]; first != "" {
			d.wrong(p.way, "%s is that of %s already", p.text, first)
		}
		taken[key] = p.way
	}
}

// registries checks the registries and the names by which clients reach them.
func (c *Config) registries(d *decoder) {
	s := &c.Settings
	if len(s.Registries) == 0 {
		d.wrong("", "registries: give at least one, such as registries: [{account: \"111111111111\", region: us-east-2}]")
		return
	}
	c.Host.External, c.Host.Hosts, c.Host.Own = host.Externals{}, map[string][]string{}, map[string]string{}
	shared := 0
	taken := map[string]string{} // host names and registries, with the way to the first
	take := func(way, what, name string) {
		if first := taken[what+" "+strings.ToLower(name)]; first != "" {
			d.wrong(way, "%s %s is that of %s already", what, name, first)
		}
		taken[what+" "+strings.ToLower(name)] = way
	}
	for i := range s.Registries {
		r, way := &s.Registries[i], fmt.Sprintf("registries[%d]", i)
		account, err := ecr.ParseAccountID(r.Account)
		if err != nil {
			d.wrong(way+".account", "%v", err)
		}
		region, err := ecr.ParseRegion(r.Region)
		if err != nil {
			d.wrong(way+".region", "%v", err)
		}
		if r.Compat == "" {
			r.Compat = string(registry.CompatOCI)
		}
		if compat := registry.Compat(r.Compat); compat != registry.CompatECR && compat != registry.CompatOCI {
			d.wrong(way+".compat", "%q: want oci or ecr", r.Compat)
		} else if r.Compat != s.Registries[0].Compat {
			if c.Host.Server.Compats == nil {
				c.Host.Server.Compats = map[ecr.RegistryID]registry.Compat{}
			}
			c.Host.Server.Compats[ecr.RegistryID{Account: account, Region: region}] = compat
		}
		of := datadir.Registry{Name: r.Account + "-" + r.Region, Account: account, Region: region}
		take(way, "the registry", of.Name)
		for j, name := range r.Hosts {
			at := fmt.Sprintf("%s.hosts[%d]", way, j)
			if u, err := url.Parse("//" + name); err != nil || u.Host != name || u.Hostname() == "" {
				d.wrong(at, "%q: want a host name, such as registry.example.com or registry.example.com:8443", name)
			}
			take(at, "the host name", name)
		}
		c.Host.Hosts[of.Name] = r.Hosts
		if r.Listen != "" {
			c.Host.Own[of.Name] = r.Listen
		} else {
			shared++
		}
		c.Host.Registries = append(c.Host.Registries, of)
	}
	// Who is alone at a port, and has no names, takes every request.
	c.Host.Shared = shared > 1
	for _, r := range s.Registries {
		c.Host.Shared = c.Host.Shared || r.Listen == "" && len(r.Hosts) > 0
	}
	c.Host.Server.Compat = registry.Compat(s.Registries[0].Compat)
	if c.Host.Server.MachineCredentials = s.MachineCredentials; s.MachineCredentials != "" && s.MachineCredentials != server.On && s.MachineCredentials != server.Off {
		d.wrong("machine_credentials", "%q: want on or off", s.MachineCredentials)
	}
	c.externals(d)
}

// externals makes the URL of each registry of the settings'.
func (c *Config) externals(d *decoder) {
	parse := func(way, text string) *url.URL {
		if text == "" {
			return nil
		}
		x, err := host.ParseExternals([]string{"=" + text})
		if err != nil {
			d.wrong(way, "%s: want http://HOST:PORT or https://HOST:PORT without a path", text)
			return nil
		}
		return x[""]
	}
	all := parse("external_url", c.Settings.ExternalURL)
	for i, r := range c.Settings.Registries {
		of := c.Host.Registries[i]
		way := fmt.Sprintf("registries[%d].external_url", i)
		own := parse(way, r.ExternalURL)
		switch name := all; {
		case own != nil || all == nil:
		case r.Listen != "":
			_, port, err := net.SplitHostPort(r.Listen)
			if err == nil {
				own = &url.URL{Scheme: name.Scheme, Host: net.JoinHostPort(name.Hostname(), port)}
			}
		case len(c.Settings.Registries) == 1 || slices.Contains(r.Hosts, name.Host) || slices.Contains(r.Hosts, name.Hostname()):
			own = all
		case len(r.Hosts) > 0:
			own = &url.URL{Scheme: name.Scheme, Host: host.WithPort(r.Hosts[0], name.Port())}
		default:
			own = &url.URL{Scheme: name.Scheme, Host: r.Account + ".dkr.ecr." + r.Region + "." + name.Host}
		}
		if own != nil {
			if err := c.Host.External.Add(of, own.String()); err != nil {
				d.wrong(way, "%v", err)
			}
		}
	}
	c.names(d)
}

// data checks where data is, and loads the master key.
func (c *Config) data(d *decoder) {
	s := &c.Settings
	switch mode, err := audit.ParseMode(s.Audit); {
	case s.Audit == "off":
	case err != nil:
		d.wrong("audit", "%v, or off", err)
	default:
		c.Host.Audit = mode
	}
	if s.Database.URL != "" {
		if err := postgres.Check(s.Database.URL); err != nil {
			d.wrong("database", "%v", err)
		}
	}
	switch {
	case s.Data != "":
	case s.Database.URL == "":
		d.wrong("", "data: give a folder for SQLite, or database: {url: ...}")
	case s.Storage.S3 == nil:
		d.wrong("", "data: give a folder for blobs, or storage: {s3: ...}")
	case c.Host.Audit != "":
		d.wrong("", "data: give a folder for the audit log, or audit: off")
	}
	c.Host.Folder = s.Data
	if s.MasterKeyFile == "" && s.Data != "" {
		s.MasterKeyFile = filepath.Join(s.Data, "master.key")
	}
	if s.MasterKeyFile == "" {
		d.wrong("", "master_key_file is required: write one with `kontor admin master-key new FILE`")
		return
	}
	var err error
	c.key, err = identity.LoadMasterKey(s.MasterKeyFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.wrong("master_key_file", "%s does not exist, and serve never makes one: restore it if there is data already, else write one with `kontor admin master-key new %s`, once for all replicas, and keep a copy", s.MasterKeyFile, s.MasterKeyFile)
	case err != nil:
		d.wrong("master_key_file", "%v", err)
	}
}

// server checks the figures.
func (c *Config) server(d *decoder) {
	s, to := &c.Settings, &c.Host.Server
	for _, name := range slices.Sorted(maps.Keys(s.Limits)) {
		if err := to.Limits.Set(name, s.Limits[name]); err != nil {
			d.wrong("limits."+name, "%s", strings.TrimPrefix(err.Error(), name+": "))
		}
	}
	if x := s.Storage.S3; x != nil && x.Memory != "" {
		n, ok := server.ParseSize(x.Memory)
		if !ok || n < s3.LeastMemory {
			d.wrong("storage.s3.memory", "%q: want a size of at least 128MiB, such as 256MiB or 1GiB", x.Memory)
		}
		c.uploadMemory = n
	}
	duration := func(way string, text Duration) time.Duration {
		if text == "" {
			return 0
		}
		v, err := time.ParseDuration(string(text))
		if err != nil || v < 0 {
			d.wrong(way, "%q: want a duration, such as 15s or 5m", string(text))
		}
		return v
	}
	to.Drain, to.Grace = duration("drain", s.Drain), duration("grace", s.Grace)
	if s.Grace != "" && to.Grace == 0 {
		to.Grace = -1 // none, where 0 is the default
	}
	var err error
	if to.UploadAge, err = host.ParseUploadAge(s.UploadAge); err != nil {
		d.wrong("upload_age", "%v", err)
	}
	if to.LifecycleEvery, err = host.ParseLifecycleEvery(s.LifecycleEvery); err != nil {
		d.wrong("lifecycle_every", "%v", err)
	}
	if to.MaxExpire, err = retention.ParseMaxExpire(s.MaxExpire); err != nil {
		d.wrong("max_expire", "%v", err)
	}
	if to.RecycleTime, err = host.ParseRecycleDays(s.RecycleDays); err != nil {
		d.wrong("recycle_days", "%v", err)
	}
	if to.ActivityDays, err = host.ParseActivityDays(s.PullActivityDays); err != nil {
		d.wrong("pull_activity_days", "%v", err)
	}
}
