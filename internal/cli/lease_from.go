package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// leaseOptions are the flags of commands that report leases.
type leaseOptions struct {
	adminOptions
	collector, ttl string
	hosts          []string
	dryRun, asJSON bool
}

func (o *leaseOptions) flags(e *Env, cmd *cobra.Command) {
	o.adminOptions.flags(e, cmd)
	f := cmd.Flags()
	f.StringVar(&o.collector, "collector", "", "report as `NAME`; what it reported before is replaced (required)")
	f.StringVar(&o.ttl, "ttl", "1d", "expect the collector again within `TIME`, such as 12h or 2d")
	hostFlag(cmd, &o.hosts)
	f.BoolVar(&o.dryRun, "dry-run", false, "only print what is found (default false)")
	jsonFlag(cmd, &o.asJSON)
}

func hostFlag(cmd *cobra.Command, p *[]string) {
	cmd.Flags().StringArrayVar(p, "host", nil, "treat images of `HOST`, such as kind-registry:5000, as images of this registry; may be given several times (default none)")
}

// The least and the longest time in which a collector can be expected again.
const (
	minTTL = time.Minute
	maxTTL = 365 * 24 * time.Hour
)

func (o *leaseOptions) check() (time.Duration, error) {
	ttl, err := parseDuration(o.ttl)
	switch {
	case err != nil:
		return 0, usagef("--ttl: %v", err)
	case ttl < minTTL || ttl > maxTTL:
		return 0, usagef("--ttl %s: want from 1m to 365d", o.ttl)
	case o.collector == "" && !o.dryRun:
		return 0, usagef("--collector is required: pass a name such as the cluster's")
	}
	return ttl, nil
}

func leaseFromCommand(e *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "from COMMAND",
		Short: "Record the images that a cluster or a list has in use",
		Example: `  kontor lease from kubernetes --collector apps
  kontor lease from file images.txt --collector hosts --ttl 7d`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(leaseFromKubernetesCommand(e), leaseFromFileCommand(e))
	return cmd
}

// leaseReport records what uses of the registry's images there are.
func leaseReport(ctx context.Context, e *Env, o leaseOptions, ttl time.Duration, uses []leases.Use, out report.CollectedLeases) (err error) {
	c, err := openAdmin(ctx, e, o.adminOptions)
	if err != nil {
		return err
	}
	defer closing(&err, c.close)
	found, err := leases.Select(uses, c.hosts(o.hosts))
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
	return render.CollectedLeases(e.Stdout, out, e.options(e.Stdout))
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

// hosts are the names of the client's registry, and more.
func (c *adminClient) hosts(more []string) []string {
	all := append([]string{c.host}, more...)
	if c.registry != (ecr.RegistryID{}) {
		all = append(all, leases.Hosts(c.registry)...)
	}
	return all
}
