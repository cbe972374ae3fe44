package leasecmd

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// reportOptions are the flags of commands that report leases.
type reportOptions struct {
	command.AdminOptions
	collector, ttl string
	hosts          []string
	dryRun, asJSON bool
}

func (o *reportOptions) flags(e *command.Env, cmd *cobra.Command) {
	o.AdminOptions.Flags(e, cmd)
	f := cmd.Flags()
	f.StringVar(&o.collector, "collector", "", "report as `NAME`; what it reported before is replaced (required)")
	f.StringVar(&o.ttl, "ttl", "1d", "expect the collector again within `TIME`, such as 12h or 2d")
	command.HostFlag(cmd, &o.hosts)
	f.BoolVar(&o.dryRun, "dry-run", false, "only print what is found (default false)")
	command.JSONFlag(cmd, &o.asJSON)
}

// The least and the longest time in which a collector can be expected again.
const (
	minTTL = time.Minute
	maxTTL = 365 * 24 * time.Hour
)

func (o *reportOptions) check() (time.Duration, error) {
	ttl, err := command.ParseDuration(o.ttl)
	switch {
	case err != nil:
		return 0, command.Usagef("--ttl: %v", err)
	case ttl < minTTL || ttl > maxTTL:
		return 0, command.Usagef("--ttl %s: want from 1m to 365d", o.ttl)
	case o.collector == "" && !o.dryRun:
		return 0, command.Usagef("--collector is required: pass a name such as the cluster's")
	}
	return ttl, nil
}

func fromCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "from COMMAND",
		Short: "Record the images that a cluster or a list has in use",
		Example: `  kontor lease from kubernetes --collector apps
  kontor lease from file images.txt --collector hosts --ttl 7d`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(fromKubernetesCommand(e), fromFileCommand(e))
	return cmd
}

// record records what uses of the registry's images there are.
func record(ctx context.Context, e *command.Env, o reportOptions, ttl time.Duration, uses []leases.Use, out report.CollectedLeases) (err error) {
	c, err := command.OpenAdmin(ctx, e, o.AdminOptions)
	if err != nil {
		return err
	}
	defer command.Closing(&err, c.Close)
	found, err := leases.Select(uses, hosts(c, o.hosts))
	if err != nil {
		return err
	}
	out.Others, out.Leases = slices.Clip(found.Others), []admin.Lease{}
	if out.Others == nil {
		out.Others = []leases.Other{}
	}
	for _, l := range found.Leases {
		out.Leases = append(out.Leases, admin.Lease{
			RepositoryName: string(l.Repository), ImageDigest: string(l.Image.Digest), ImageTag: string(l.Image.Tag), User: cut(l.User, admin.MaxUser),
		})
	}
	if !o.dryRun {
		out.Recorded = &admin.ReportLeasesResponse{}
		in := admin.ReportLeasesRequest{Collector: o.collector, TTLSeconds: int64(ttl / time.Second), Leases: out.Leases}
		if err := c.Call(ctx, "ReportLeases", in, out.Recorded); err != nil {
			return err
		}
	}
	if o.asJSON {
		return render.JSON(e.Stdout, out)
	}
	return render.CollectedLeases(e.Stdout, out, e.Options(e.Stdout))
}

// cut is at most the first n bytes of s, whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// hosts are the names of the registry of c, and more.
func hosts(c *command.AdminClient, more []string) []string {
	all := append([]string{c.Host}, more...)
	if c.Registry != (ecr.RegistryID{}) {
		all = append(all, leases.Hosts(c.Registry)...)
	}
	return all
}
