package leasecmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/kube"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/report"
)

func fromKubernetesCommand(e *command.Env) *cobra.Command {
	var (
		o                   reportOptions
		kubeconfig, context string
		inCluster           bool
	)
	cmd := &cobra.Command{
		Use:   "kubernetes [FILE|-] [flags]",
		Short: "Record the images that a Kubernetes cluster uses",
		Long: `Record the images that a cluster uses: those of its pods (including init and
ephemeral containers and image volumes), by the name in the pod and by the imageID
that runs, and those of the pod templates of Deployments, StatefulSets,
DaemonSets, CronJobs and ReplicaSets. A ReplicaSet without replicas counts,
because a rollback uses it. Pods that have ended do not count.

The objects are read from FILE, or from stdin with -, as kubectl prints them:

  kubectl get pods,deployments,statefulsets,daemonsets,cronjobs,replicasets -A -o json

Without FILE, they are read from the cluster: with the pod's service account when
running in a cluster, and with the kubeconfig otherwise.

Images on other hosts than the registry's are counted but not recorded. If the
cluster reaches the registry by another host name, pass that name with --host.`,
		Example: `  kontor lease from kubernetes --collector apps --ttl 2h
  kubectl get pods,deployments,statefulsets,daemonsets,cronjobs,replicasets -A -o json |
    kontor lease from kubernetes - --collector apps --host host.docker.internal:5050`,
		Args: command.Between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ttl, err := o.check()
			if err != nil {
				return err
			}
			if len(args) > 0 && (kubeconfig != "" || context != "" || inCluster) {
				return command.Usagef("%s is read instead of a cluster: leave out --kubeconfig, --context and --in-cluster", args[0])
			}
			var objects leases.Objects
			if len(args) > 0 {
				var text []byte
				if text, err = command.ReadInput(e, args[0]); err == nil {
					if objects, err = leases.Kubernetes(text); err != nil {
						err = fmt.Errorf("%s: %w", args[0], err)
					}
				}
			} else {
				objects, err = clusterImages(cmd.Context(), e, kubeconfig, context, inCluster)
			}
			switch {
			case err != nil:
				return err
			case objects.Continue != "":
				return fmt.Errorf("%s is only the first part of a list: read the list without a limit", args[0])
			}
			return record(cmd.Context(), e, o, ttl, objects.Uses, report.CollectedLeases{
				Objects: objects.Looked, EndedPods: objects.Ended, Unknown: objects.Unknown,
			})
		},
	}
	o.flags(e, cmd)
	f := cmd.Flags()
	f.StringVar(&kubeconfig, "kubeconfig", "", "read from the cluster of the kubeconfig `FILE` (default ~/.kube/config; env KUBECONFIG)")
	f.StringVar(&context, "context", "", "use the context `NAME` of the kubeconfig (default its current one)")
	f.BoolVar(&inCluster, "in-cluster", false, "authenticate only as the pod's service account (default in a pod without --kubeconfig)")
	command.Must(cmd.MarkFlagFilename("kubeconfig"))
	return cmd
}

// clusterImages asks a cluster.
func clusterImages(ctx context.Context, e *command.Env, kubeconfig, context string, inCluster bool) (leases.Objects, error) {
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
		return leases.Objects{}, command.Usagef("--in-cluster does not use a kubeconfig: leave out --kubeconfig and --context")
	case inCluster && !in:
		return leases.Objects{}, errors.New("not running in a pod: KUBERNETES_SERVICE_HOST is not set")
	case !in:
		files := []string{kubeconfig}
		if kubeconfig == "" {
			files = filepath.SplitList(e.Getenv("KUBECONFIG"))
		}
		if len(files) == 0 {
			files = []string{filepath.Join(e.Getenv("HOME"), ".kube", "config")}
		}
		cfg, err = kube.Load(kube.Source{Files: files, Context: context, Environ: os.Environ, Run: runPlugin(ctx, e)})
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
func runPlugin(ctx context.Context, e *command.Env) func(string, []string, []string) ([]byte, error) {
	return func(command string, args, env []string) ([]byte, error) {
		// the user's own configuration names it
		cmd := exec.CommandContext(ctx, command, args...)
		var out bytes.Buffer
		cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, e.Stderr
		err := cmd.Run()
		return out.Bytes(), err
	}
}
