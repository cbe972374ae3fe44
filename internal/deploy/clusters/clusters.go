// Package clusters lets the nodes of Kubernetes clusters pull: it finds their
// IAM roles, says what each needs in its own account, and attaches and detaches
// the one policy that is Kontor's to manage there.
//
// What it guarantees:
//   - whether a role may pull already is decided by package proof, over the
//     role's own policies and those that the file makes for the repositories;
//     a role that may gets nothing;
//   - a role that got the policy carries a tag for each stack that needs it,
//     and only with such a tag is the policy ever detached, after the last
//     stack has left;
//   - each role is read again before it is changed, and one that moved since
//     the plan is left alone; every step may be repeated.
//
// It leaves out the repositories' side, which package deploy makes. The calls
// are those of the IAM API, version 2010-05-08, and the EKS API, 2017-11-01.
package clusters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/principals"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// PolicyName is AWS's managed policy for nodes that pull.
const PolicyName = "AmazonEC2ContainerRegistryPullOnly"

// policyARN is the policy's in the partition of a region.
func policyARN(region ecr.Region) string {
	return policy.ManagedPolicy{Name: PolicyName, Path: "/"}.ARN(region.Partition())
}

// document is the policy's text.
func document() string {
	for _, m := range policy.ManagedPolicies() {
		if m.Name == PolicyName {
			return m.Document.String()
		}
	}
	return ""
}

// tagPrefix begins the keys of the tags on roles. The key is that and a hash of
// the stack's name, which is the value: IAM's keys are shorter than names may
// be, and do not tell upper from lower case (IAM user guide, "Rules for tagging
// in IAM and AWS STS").
const tagPrefix = "kontor:pull:"

// TagKey is the key of the tag by which a role knows that the stack needs the
// policy. The value is the stack's name.
func TagKey(stack string) string {
	sum := sha256.Sum256([]byte(stack))
	return tagPrefix + hex.EncodeToString(sum[:8])
}

// stacksOf are the stacks that a role's tags name, in byte order.
func stacksOf(tags map[string]string) []string {
	var out []string
	for k, v := range tags {
		if k == TagKey(v) {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out
}

// IAM is what is read and changed of an account; *iam.Client has it.
type IAM interface {
	principals.API
	iam.ListAttachedRolePoliciesAPIClient
	GetRole(context.Context, *iam.GetRoleInput, ...func(*iam.Options)) (*iam.GetRoleOutput, error)
	AttachRolePolicy(context.Context, *iam.AttachRolePolicyInput, ...func(*iam.Options)) (*iam.AttachRolePolicyOutput, error)
	DetachRolePolicy(context.Context, *iam.DetachRolePolicyInput, ...func(*iam.Options)) (*iam.DetachRolePolicyOutput, error)
	TagRole(context.Context, *iam.TagRoleInput, ...func(*iam.Options)) (*iam.TagRoleOutput, error)
	UntagRole(context.Context, *iam.UntagRoleInput, ...func(*iam.Options)) (*iam.UntagRoleOutput, error)
}

var _ IAM = (*iam.Client)(nil)

// Conn is a cluster's account that can be read and changed.
type Conn struct {
	Cluster state.Cluster
	IAM     IAM
	EKS     EKS
}

// Connect reaches the account of a cluster. A caller of another account is
// refused. The errors say what to do.
func Connect(ctx context.Context, c state.Cluster) (*Conn, error) {
	cfg, _, err := deploy.Account(ctx, deploy.ConnectConfig{
		Target: state.Target{
			Name: c.Name, Registry: ecr.RegistryID{Account: c.Account, Region: c.Region},
			RoleARN: c.RoleARN, Profile: c.Profile, Endpoint: c.Endpoint,
		},
		Subject: "cluster " + c.Name, Block: "clusters",
	})
	if err != nil {
		return nil, err
	}
	var endpoint *string
	if c.Endpoint != "" {
		endpoint = aws.String(c.Endpoint)
	}
	users := iam.NewFromConfig(cfg, func(o *iam.Options) {
		if endpoint != nil {
			o.BaseEndpoint = endpoint
		}
	})
	nodes := eks.NewFromConfig(cfg, func(o *eks.Options) {
		if endpoint != nil {
			o.BaseEndpoint = endpoint
		}
	})
	// AWS_ENDPOINT_URL and the AWS configuration may name one, too: a plan must
	// not look as if it were AWS that it goes to.
	c.Endpoint = aws.ToString(users.Options().BaseEndpoint)
	return &Conn{Cluster: c, IAM: users, EKS: nodes}, nil
}

// TargetOf is the cluster as plans have it.
func TargetOf(c state.Cluster) plan.Target {
	return plan.Target{Name: c.Name, Account: c.Account, Region: c.Region, RoleARN: c.RoleARN, Profile: c.Profile, Endpoint: c.Endpoint}
}

// Role is a role of a cluster's nodes.
type Role struct {
	ARN string
	// Found says where, for example "node group blue".
	Found []string
}

// NodeRoles are the roles of the cluster's nodes, in byte order of their ARNs:
// those that the file gives, or else those that EKS knows.
func (c *Conn) NodeRoles(ctx context.Context) ([]Role, error) {
	found := roles{}
	if len(c.Cluster.NodeRoleARNs) > 0 {
		for _, arn := range c.Cluster.NodeRoleARNs {
			found.add(arn, "node_role_arns")
		}
		return found.sorted(), nil
	}
	if err := discover(ctx, c.EKS, c.Cluster.Name, found); err != nil {
		return nil, deploy.Explain(err, fmt.Sprintf("cluster %s: finding its node roles through EKS (or list them in node_role_arns:)", c.Cluster.Name))
	}
	return found.sorted(), nil
}

// roles gathers roles by ARN.
type roles map[string][]string

func (r roles) add(arn, where string) {
	if arn != "" && !slices.Contains(r[arn], where) {
		r[arn] = append(r[arn], where)
	}
}

func (r roles) sorted() []Role {
	var out []Role
	for arn, found := range r {
		out = append(out, Role{ARN: arn, Found: found})
	}
	slices.SortFunc(out, func(a, b Role) int { return strings.Compare(a.ARN, b.ARN) })
	return out
}

// nameOf is the name of a role by its ARN, which has no path.
func nameOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// errUnseen is for an account whose roles may not be read.
func errUnseen(c state.Cluster, why string) error {
	return fmt.Errorf("cluster %s: the roles of account %s cannot be seen: %s; allow it to the caller, on resource *", c.Name, c.Account, why)
}

// People are the users and roles of the cluster's account.
func (c *Conn) People(ctx context.Context) ([]proof.Principal, error) {
	list, unseen, err := principals.Read(ctx, c.IAM)
	if unseen != "" {
		return nil, errUnseen(c.Cluster, unseen)
	}
	return list, deploy.Explain(err, fmt.Sprintf("cluster %s: the roles of account %s", c.Cluster.Name, c.Cluster.Account))
}
