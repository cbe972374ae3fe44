package iamapi

import (
	"net/url"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// What responses are made of. Names, order and presence are those of the API
// reference; policy documents are URL-encoded (RFC 3986) where it says so.

type tag struct{ Key, Value string }

type boundary struct {
	PermissionsBoundaryType string
	PermissionsBoundaryArn  string
}

type user struct {
	Path                string
	UserName            string
	UserID              string `xml:"UserId"`
	Arn                 string
	CreateDate          string
	PermissionsBoundary *boundary
	Tags                []tag `xml:"Tags>member"`
}

type role struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	Arn                      string
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int
	PermissionsBoundary      *boundary
	Tags                     []tag `xml:"Tags>member"`
}

type managedPolicy struct {
	PolicyName                    string
	PolicyID                      string `xml:"PolicyId"`
	Arn                           string
	Path                          string
	DefaultVersionID              string `xml:"DefaultVersionId"`
	AttachmentCount               int
	PermissionsBoundaryUsageCount int
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    string
	UpdateDate                    string
	Tags                          []tag `xml:"Tags>member"`
}

type policyVersion struct {
	Document         string `xml:",omitempty"`
	VersionID        string `xml:"VersionId"`
	IsDefaultVersion bool
	CreateDate       string
}

type accessKey struct {
	UserName        string
	AccessKeyID     string `xml:"AccessKeyId"`
	Status          string
	SecretAccessKey string `xml:",omitempty"`
	CreateDate      string
}

type attachedPolicy struct{ PolicyName, PolicyArn string }

func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func encoded(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

func tagsOf(tags []iam.Tag) (out []tag) {
	for _, t := range tags {
		out = append(out, tag(t))
	}
	return out
}

func boundaryOf(arn string) *boundary {
	if arn == "" {
		return nil
	}
	return &boundary{"Policy", arn}
}

func userOf(partition string, u meta.User, boundaryARN string, tags bool) user {
	out := user{
		Path: identity.PathOf(u.Path), UserName: u.Name, UserID: u.UniqueID, Arn: identity.UserARN(partition, u),
		CreateDate: date(u.CreatedAt), PermissionsBoundary: boundaryOf(boundaryARN),
	}
	if tags {
		out.Tags = tagsOf(iam.Tags(u.Tags))
	}
	return out
}

func roleOf(partition string, r meta.Role, boundaryARN string, tags bool) role {
	out := role{
		Path: identity.PathOf(r.Path), RoleName: r.Name, RoleID: r.UniqueID, Arn: identity.RoleARN(partition, r),
		CreateDate: date(r.CreatedAt), AssumeRolePolicyDocument: encoded(r.Trust), Description: r.Description,
		MaxSessionDuration: int(r.MaxSession / time.Second), PermissionsBoundary: boundaryOf(boundaryARN),
	}
	if tags {
		out.Tags = tagsOf(iam.Tags(r.Tags))
	}
	return out
}

func policyOf(m iam.ManagedPolicy) managedPolicy {
	return managedPolicy{
		PolicyName: m.Name, PolicyID: m.ID, Arn: m.ARN, Path: identity.PathOf(m.Path),
		DefaultVersionID: iam.Version{Number: m.Default}.Name(), AttachmentCount: m.Attachments, PermissionsBoundaryUsageCount: m.Boundaries,
		IsAttachable: true, Description: m.Description, CreateDate: date(m.CreatedAt), UpdateDate: date(m.UpdatedAt), Tags: tagsOf(iam.Tags(m.Tags)),
	}
}

func versionOf(v iam.Version, document bool) policyVersion {
	out := policyVersion{VersionID: v.Name(), IsDefaultVersion: v.Default, CreateDate: date(v.CreatedAt)}
	if document {
		out.Document = encoded(v.Text)
	}
	return out
}

func keyOf(u meta.User, k meta.AccessKey, secret string) accessKey {
	status := "Inactive"
	if k.Active {
		status = "Active"
	}
	return accessKey{UserName: u.Name, AccessKeyID: k.ID, Status: status, SecretAccessKey: secret, CreateDate: date(k.CreatedAt)}
}

// paged is the end of each list.
type paged struct {
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func pagedBy(next string) paged { return paged{next != "", next} }
