package clusters

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/smithy-go"
)

// EKS is the part of EKS that is read; *eks.Client has it.
type EKS interface {
	eks.ListNodegroupsAPIClient
	eks.ListFargateProfilesAPIClient
	eks.ListAccessEntriesAPIClient
	DescribeCluster(context.Context, *eks.DescribeClusterInput, ...func(*eks.Options)) (*eks.DescribeClusterOutput, error)
	DescribeNodegroup(context.Context, *eks.DescribeNodegroupInput, ...func(*eks.Options)) (*eks.DescribeNodegroupOutput, error)
	DescribeFargateProfile(context.Context, *eks.DescribeFargateProfileInput, ...func(*eks.Options)) (*eks.DescribeFargateProfileOutput, error)
	DescribeAccessEntry(context.Context, *eks.DescribeAccessEntryInput, ...func(*eks.Options)) (*eks.DescribeAccessEntryOutput, error)
}

var _ EKS = (*eks.Client)(nil)

// nodeEntries are the types of access entries by which nodes join: those of
// self-managed nodes and of Karpenter's are known nowhere else (EKS user guide,
// "Create access entries").
var nodeEntries = []string{"EC2", "EC2_LINUX", "EC2_WINDOWS", "HYBRID_LINUX", "HYPERPOD_LINUX", "FARGATE_LINUX"}

// discover adds the roles of the cluster's nodes to found: of auto mode, of
// node groups, of Fargate profiles, and of access entries for nodes.
func discover(ctx context.Context, api EKS, cluster string, found roles) error {
	name := aws.String(cluster)
	c, err := api.DescribeCluster(ctx, &eks.DescribeClusterInput{Name: name})
	if err != nil {
		return err
	}
	if auto := c.Cluster.ComputeConfig; auto != nil && aws.ToBool(auto.Enabled) {
		found.add(aws.ToString(auto.NodeRoleArn), "auto mode")
	}
	groups := eks.NewListNodegroupsPaginator(api, &eks.ListNodegroupsInput{ClusterName: name})
	for groups.HasMorePages() {
		page, err := groups.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, g := range page.Nodegroups {
			out, err := api.DescribeNodegroup(ctx, &eks.DescribeNodegroupInput{ClusterName: name, NodegroupName: aws.String(g)})
			if err != nil {
				return err
			}
			found.add(aws.ToString(out.Nodegroup.NodeRole), "node group "+g)
		}
	}
	profiles := eks.NewListFargateProfilesPaginator(api, &eks.ListFargateProfilesInput{ClusterName: name})
	for profiles.HasMorePages() {
		page, err := profiles.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, p := range page.FargateProfileNames {
			out, err := api.DescribeFargateProfile(ctx, &eks.DescribeFargateProfileInput{ClusterName: name, FargateProfileName: aws.String(p)})
			if err != nil {
				return err
			}
			found.add(aws.ToString(out.FargateProfile.PodExecutionRoleArn), "Fargate profile "+p)
		}
	}
	return accessEntries(ctx, api, name, found)
}

// accessEntries adds the roles of nodes that joined by an access entry.
func accessEntries(ctx context.Context, api EKS, cluster *string, found roles) error {
	pages := eks.NewListAccessEntriesPaginator(api, &eks.ListAccessEntriesInput{ClusterName: cluster})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		var refused smithy.APIError
		if errors.As(err, &refused) && refused.ErrorCode() == "InvalidRequestException" {
			return nil // the cluster knows roles by its aws-auth ConfigMap only
		}
		if err != nil {
			return err
		}
		for _, arn := range page.AccessEntries {
			if len(found[arn]) > 0 {
				continue // EKS makes entries for its own node groups
			}
			out, err := api.DescribeAccessEntry(ctx, &eks.DescribeAccessEntryInput{ClusterName: cluster, PrincipalArn: aws.String(arn)})
			if err != nil {
				return err
			}
			if kind := aws.ToString(out.AccessEntry.Type); slices.Contains(nodeEntries, kind) {
				found.add(arn, "access entry "+kind)
			}
		}
	}
	return nil
}
