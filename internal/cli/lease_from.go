package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/kube"
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
	cmd.Flags().StringArrayVar(p, "host", nil, "images of `HOST`, such as kind-registry:5000, are of this registry, too; may be given several times (default none)")
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
		return 0, usagef("say who reports with --collector NAME, such as the cluster's name")
	}
	return ttl, nil
}

func (e *Env) leaseFromCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "from COMMAND",
		Short: "Record what a cluster or a list says is in use",
		Example: `  kontor lease from kubernetes --collector apps
  kontor lease from file images.txt --collector hosts --ttl 7d`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(e.leaseFromKubernetesCommand(), e.leaseFromFileCommand())
	return cmd
}

func (e *Env) leaseFromKubernetesCommand() *cobra.Command {
	var (
		o                   leaseOptions
		kubeconfig, context string
		inCluster           bool
	)
	cmd := &cobra.Command{
		Use:   "kubernetes [FILE|-] [flags]",
		Short: "Record what a Kubernetes cluster uses",
		Long: `Record the images that a cluster uses: those of its pods (init and ephemeral
containers and image volumes included), by the name they were asked for and by
the imageID that runs, and those of the pod templates of Deployments,
StatefulSets, DaemonSets, CronJobs and ReplicaSets. A ReplicaSet without
replicas counts: it is what a rollback goes to. Pods that have ended do not.

They are read from FILE, or from stdin with -, as kubectl prints them:

  kubectl get pods,deployments,statefulsets,daemonsets,cronjobs,replicasets -A -o json

Without FILE the cluster is asked: as the pod's service account in a cluster, and
else as the kubeconfig says.

Images whose host is not the registry's are counted, not recorded. Clusters often
know a registry by another name than its own: give that with --host.`,
		Example: `  kontor lease from kubernetes --collector apps --ttl 2h
  kubectl get pods,deployments,statefulsets,daemonsets,cronjobs,replicasets -A -o json |
    kontor lease from kubernetes - --collector apps --host host.docker.internal:5050`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ttl, err := o.check()
			if err != nil {
				return err
			}
			if len(args) > 0 && (kubeconfig != "" || context != "" || inCluster) {
				return usagef("%s is read in place of a cluster: --kubeconfig, --context and --in-cluster have no meaning", args[0])
			}
			var objects leases.Objects
			if len(args) > 0 {
				var text []byte
				if text, err = e.readInput(args[0]); err == nil {
					if objects, err = leases.Kubernetes(text); err != nil {
						err = fmt.Errorf("%s: %w", args[0], err)
					}
				}
			} else {
				objects, err = e.clusterImages(cmd.Context(), kubeconfig, context, inCluster)
			}
			switch {
			case err != nil:
				return err
			case objects.Continue != "":
				return fmt.Errorf("%s is the first part of a list, and the rest is missing", args[0])
			}
			return e.leaseReport(cmd.Context(), o, ttl, objects.Uses, report.CollectedLeases{
				Objects: objects.Looked, EndedPods: objects.Ended, Unknown: objects.Unknown,
			})
		},
	}
	o.flags(e, cmd)
	f := cmd.Flags()
	f.StringVar(&kubeconfig, "kubeconfig", "", "ask the cluster of the kubeconfig `FILE` (default ~/.kube/config; env KUBECONFIG)")
	f.StringVar(&context, "context", "", "use the context `NAME` of the kubeconfig (default its current one)")
	f.BoolVar(&inCluster, "in-cluster", false, "ask as the pod's service account, and nobody else (default in a pod without --kubeconfig)")
	if err := cmd.MarkFlagFilename("kubeconfig"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func (e *Env) leaseFromFileCommand() *cobra.Command {
	var o leaseOptions
	cmd := &cobra.Command{
		Use:   "file FILE|- [flags]",
		Short: "Record what a plain list says is in use",
		Long: `Record the images of a list: one reference a line, HOST/REPOSITORY:TAG or
HOST/REPOSITORY@DIGEST; what follows it on the line says who uses it. Empty lines
and what follows a # are left out. FILE - is stdin.`,
		Example: `  kontor lease from file images.txt --collector hosts --ttl 7d
  docker ps --format '{{.Image}}' | kontor lease from file - --collector laptop`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ttl, err := o.check()
			if err != nil {
				return err
			}
			text, err := e.readInput(args[0])
			if err != nil {
				return err
			}
			uses, err := leases.List(inputName(args[0]), text)
			if err != nil {
				return err
			}
			return e.leaseReport(cmd.Context(), o, ttl, uses, report.CollectedLeases{})
		},
	}
	o.flags(e, cmd)
	return cmd
}

func inputName(arg string) string {
	if arg == "-" {
		return "stdin"
	}
	return filepath.Base(arg)
}

// maxInput bounds what is read from a file or stdin; the largest clusters
// print some hundred megabytes.
const maxInput = 2 << 30

// readInput reads the file name, or stdin for "-".
func (e *Env) readInput(name string) (text []byte, err error) {
	r := e.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("reading what is in use: %w", err)
		}
		defer closing(&err, f.Close)
		r = f
	}
	text, err = io.ReadAll(io.LimitReader(r, maxInput+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading what is in use: %w", err)
	case len(text) > maxInput:
		return nil, fmt.Errorf("%s has more than %d bytes", inputName(name), maxInput)
	}
	return text, nil
}

// clusterImages asks a cluster.
func (e *Env) clusterImages(ctx context.Context, kubeconfig, context string, inCluster bool) (leases.Objects, error) {
	var (
		cfg kube.Config
		err error
	)
	in := false
	if kubeconfig == "" && context == "" {
		if cfg, in, err = kube.InCluster(e.Getenv, ""); err != nil {
			return leases.Objects{}, err
		}
	}
	switch {
	case inCluster && (kubeconfig != "" || context != ""):
		return leases.Objects{}, usagef("--in-cluster needs no kubeconfig: --kubeconfig and --context contradict it")
	case inCluster && !in:
		return leases.Objects{}, errors.New("this is no pod of a cluster: KUBERNETES_SERVICE_HOST is not set")
	case !in:
		files := []string{kubeconfig}
		if kubeconfig == "" {
			files = filepath.SplitList(e.Getenv("KUBECONFIG"))
		}
		if len(files) == 0 {
			files = []string{filepath.Join(e.Getenv("HOME"), ".kube", "config")}
		}
		cfg, err = kube.Load(kube.Source{Files: files, Context: context, Environ: os.Environ, Run: e.runPlugin(ctx)})
		if err != nil {
			return leases.Objects{}, err
		}
	}
	client, err := kube.New(cfg)
	if err != nil {
		return leases.Objects{}, err
	}
	return client.Images(ctx)
}

// runPlugin runs a kubeconfig's credential plugin; what it says on stderr is
// for the user.
func (e *Env) runPlugin(ctx context.Context) func(string, []string, []string) ([]byte, error) {
	return func(command string, args, env []string) ([]byte, error) {
		//nolint:gosec // the user's own configuration names it
		cmd := exec.CommandContext(ctx, command, args...)
		var out bytes.Buffer
		cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, e.Stderr
		err := cmd.Run()
		return out.Bytes(), err
	}
}

// leaseReport records what uses of the registry's images there are.
func (e *Env) leaseReport(ctx context.Context, o leaseOptions, ttl time.Duration, uses []leases.Use, out report.CollectedLeases) (err error) {
	c, err := e.admin(ctx, o.adminOptions)
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
		if err := c.call(ctx, "ReportLeases", in, out.Recorded); err != nil {
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

// readLeases reads files that say what is in use, in any of the forms that
// kontor lease takes and prints: kubectl's JSON, that of `kontor lease list`,
// or a plain list. hosts are the registry's names; nil for any.
func (e *Env) readLeases(names, hosts []string) ([]leases.Lease, error) {
	var out []leases.Lease
	for _, name := range names {
		text, err := e.readInput(name)
		if err != nil {
			return nil, err
		}
		list, err := parseLeases(inputName(name), text, hosts)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", inputName(name), err)
		}
		out = append(out, list...)
	}
	return out, nil
}

func parseLeases(name string, text []byte, hosts []string) ([]leases.Lease, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		uses, err := leases.List(name, text)
		if err != nil {
			return nil, err
		}
		s, err := leases.Select(uses, hosts)
		return s.Leases, err
	}
	var listed struct {
		Leases *[]admin.Lease `json:"leases"`
	}
	if json.Unmarshal(text, &listed) == nil && listed.Leases != nil {
		return fromWire(*listed.Leases)
	}
	objects, err := leases.Kubernetes(text)
	if err != nil {
		return nil, err
	}
	s, err := leases.Select(objects.Uses, hosts)
	return s.Leases, err
}

// fromWire checks leases as the admin API has them.
func fromWire(list []admin.Lease) ([]leases.Lease, error) {
	out := make([]leases.Lease, 0, len(list))
	for _, l := range list {
		name, err := ecr.ParseRepositoryName(l.RepositoryName)
		if err != nil {
			return nil, fmt.Errorf("a lease on %q: that is not the name of a repository", l.RepositoryName)
		}
		lease := leases.Lease{Repository: name, User: l.User}
		if l.Collector != "" {
			lease.User = l.Collector + ": " + l.User
		}
		if l.ImageDigest != "" {
			if lease.Image.Digest, err = ecr.ParseDigest(l.ImageDigest); err != nil {
				return nil, fmt.Errorf("a lease on %s: %q is not a digest", name, l.ImageDigest)
			}
		}
		if l.ImageTag != "" {
			if lease.Image.Tag, err = ecr.ParseTag(l.ImageTag); err != nil {
				return nil, fmt.Errorf("a lease on %s: %q is not a tag", name, l.ImageTag)
			}
		}
		if lease.Image == (ecr.ImageID{}) {
			return nil, fmt.Errorf("a lease on %s names no image", name)
		}
		if lease.User == "" {
			return nil, fmt.Errorf("a lease on %s does not say who uses the image", name)
		}
		out = append(out, lease)
	}
	return out, nil
}
