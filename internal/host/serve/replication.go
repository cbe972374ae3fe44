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
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/replication/amazon"
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
		switch {
		case r.RoleARN != "":
			c.byRole(d, way, r, &to)
		case r.Username != "":
			to.Login = login(r)
		}
		if r.RoleARN == "" {
			for field, given := range map[string]bool{
				"external_id": r.ExternalID != "", "role_session_name": r.RoleSessionName != "", "access_key_id": r.AccessKeyID != "",
				"secret_access_key": r.SecretAccessKey != "", "instance_role": r.InstanceRole, "sts_endpoint": r.STSEndpoint != "", "ecr_endpoint": r.ECREndpoint != "",
			} {
				if given {
					d.wrong(way+"."+field, "it is for role_arn, which is not given")
				}
			}
		}
		to.Rate = rate(d, way, r)
		if c.Host.Server.Replication == nil {
			c.Host.Server.Replication = map[ecr.RegistryID]replication.Elsewhere{}
		}
		c.Host.Server.Replication[in] = to
	}
}

// byRole checks how a registry of Amazon ECR is reached by a role.
func (c *Config) byRole(d *decoder, way string, r ReplicationDestination, to *replication.Elsewhere) {
	if !roles.MatchString(r.RoleARN) {
		d.wrong(way+".role_arn", "%q: want the ARN of a role, such as arn:aws:iam::%s:role/replication", r.RoleARN, r.Account)
	}
	if r.Username != "" {
		d.wrong(way+".username", "role_arn is given, too: give one of them")
	}
	if (r.AccessKeyID == "") != (r.SecretAccessKey == "") {
		d.wrong(way, "give access_key_id together with secret_access_key")
	}
	if r.InstanceRole && r.AccessKeyID != "" {
		d.wrong(way+".instance_role", "access_key_id is given, too: give one of them")
	}
	if r.ExternalID != "" && (len(r.ExternalID) < 2 || len(r.ExternalID) > 1224 || !externalIDs.MatchString(r.ExternalID)) {
		d.wrong(way+".external_id", "%q: want 2 to 1224 letters, digits and characters of +=,.@:/-_", r.ExternalID)
	}
	if r.RoleSessionName != "" && !sessionNames.MatchString(r.RoleSessionName) {
		d.wrong(way+".role_session_name", "%q: want 2 to 64 letters, digits and characters of =,.@_-", r.RoleSessionName)
	}
	for field, url := range map[string]string{"sts_endpoint": r.STSEndpoint, "ecr_endpoint": r.ECREndpoint} {
		if strings.HasPrefix(url, "http://") && !r.InsecureHTTP {
			d.wrong(way+"."+field, "%s: credentials would be sent without TLS: use https, or set insecure_http", url)
		}
	}
	registry := amazon.New(amazon.Config{
		Registry: ecr.RegistryID{Account: ecr.AccountID(r.Account), Region: ecr.Region(r.Region)}, RoleARN: r.RoleARN, ExternalID: r.ExternalID,
		SessionName: r.RoleSessionName, STS: r.STSEndpoint, API: r.ECREndpoint, AccessKeyID: r.AccessKeyID, SecretAccessKey: r.SecretAccessKey,
		InstanceRole: r.InstanceRole, Trust: to.Trust,
	})
	to.Login, to.Create, to.Registry = registry, registry.Create, ecr.RegistryID{Account: ecr.AccountID(r.Account), Region: ecr.Region(r.Region)}
}

// roles are the ARNs of roles. Source: IAM user guide, "IAM identifiers".
var roles = lazyregexp.New(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}$`)

// Source: STS API reference, AssumeRole, RoleSessionName and ExternalId.
var (
	sessionNames = lazyregexp.New(`^[\w+=,.@-]{2,64}$`)
	externalIDs  = lazyregexp.New(`^[\w+=,.@:/-]+$`)
)

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
