package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// replication checks the registries elsewhere that rules may name.
func (c *Config) replication(d *decoder) {
	for i, r := range c.Settings.ReplicationDestinations {
		way := fmt.Sprintf("replication_destinations[%d]", i)
		in := ecr.RegistryID{Account: ecr.AccountID(r.Account), Region: ecr.Region(r.Region)}
		if _, twice := c.Host.Server.Replication[in]; twice {
			d.wrong(way, "%s is listed twice", in)
		}
		for _, own := range c.Settings.Registries {
			if own.Account == r.Account && own.Region == r.Region {
				d.wrong(way, "%s is a registry of this server, and needs no address", in)
			}
		}
		if _, err := upstream.ParseHost(r.Host); err != nil {
			d.wrong(way+".host", "%v", err)
		}
		to := replication.Elsewhere{Host: r.Host, PlainHTTP: r.InsecureHTTP, Prefix: r.Prefix}
		if r.Prefix != "" {
			if _, err := ecr.ParseRepositoryName(r.Prefix + "app"); err != nil {
				d.wrong(way+".prefix", "%q: want what the name of a repository may begin with, such as mirror/", r.Prefix)
			}
		}
		if r.CAFile != "" {
			pem, err := os.ReadFile(filepath.Clean(r.CAFile))
			if err == nil {
				to.Trust, err = upstream.ParseTrust(pem)
			}
			if err != nil {
				d.wrong(way+".ca_file", "%v", err)
			}
		}
		if r.Password != "" && r.PasswordFile != "" {
			d.wrong(way, "give password or password_file, not both")
		}
		if (r.Username == "") != (r.Password == "" && r.PasswordFile == "") {
			d.wrong(way, "give username together with password or password_file")
		}
		if r.Username != "" {
			to.Login = login(r)
		}
		to.Rate = rate(d, way, r)
		if c.Host.Server.Replication == nil {
			c.Host.Server.Replication = map[ecr.RegistryID]replication.Elsewhere{}
		}
		c.Host.Server.Replication[in] = to
	}
}

// The limits of a destination's rate. leastBytes is what keeps a copy going: a registry
// that gets less gives uploads up.
const (
	mostImages = 60_000
	leastBytes = 1 << 10
)

// rate checks the rate of a destination.
func rate(d *decoder, way string, r ReplicationDestination) (rate replication.Rate) {
	if r.ImagesPerMinute != "" {
		n, err := strconv.Atoi(r.ImagesPerMinute)
		if err != nil || n < 1 || n > mostImages {
			d.wrong(way+".images_per_minute", "%q: want a number from 1 to %d", r.ImagesPerMinute, mostImages)
			n = 1
		}
		rate.ImageEvery = time.Minute / time.Duration(n)
	}
	if r.BytesPerSecond != "" {
		n, ok := server.ParseSize(r.BytesPerSecond)
		if !ok || n < leastBytes {
			d.wrong(way+".bytes_per_second", "%q: want a size of at least 1KiB, such as 500KiB or 10MiB", r.BytesPerSecond)
		}
		rate.BytesPerSecond = n
	}
	return rate
}

// login reads the password again each time that it is needed.
func login(r ReplicationDestination) remote.Source {
	return remote.SourceFunc(func(context.Context, string) (remote.Credential, error) {
		password := r.Password
		if r.PasswordFile != "" {
			b, err := os.ReadFile(filepath.Clean(r.PasswordFile))
			if err != nil {
				return remote.Credential{}, err
			}
			password = strings.TrimSpace(string(b))
		}
		return remote.Credential{User: r.Username, Password: password}, nil
	})
}
