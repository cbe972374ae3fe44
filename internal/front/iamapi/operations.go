package iamapi

import (
	"context"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// userResult completes a user by its boundary's ARN.
func userResult(ctx context.Context, c *iam.Caller, u meta.User, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	arn, err := c.BoundaryARN(ctx, u.Boundary)
	return struct{ User user }{userOf(c.Partition(), u, arn, true)}, err
}

func roleResult(ctx context.Context, c *iam.Caller, r meta.Role, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	arn, err := c.BoundaryARN(ctx, r.Boundary)
	return struct{ Role role }{roleOf(c.Partition(), r, arn, true)}, err
}

var userOperations = map[string]operation{
	"CreateUser": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		n := iam.NewUser{Name: in.need("UserName"), Path: in.text("Path"), Boundary: in.text("PermissionsBoundary"), Tags: in.tags("Tags")}
		if in.err != nil {
			return nil, in.err
		}
		u, err := c.CreateUser(ctx, n)
		return userResult(ctx, c, u, err)
	},
	"GetUser": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		u, err := c.User(ctx, in.text("UserName"))
		return userResult(ctx, c, u, err)
	},
	"ListUsers": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		page := in.page()
		if in.err != nil {
			return nil, in.err
		}
		all, next, err := c.Users(ctx, page)
		var out []user
		for _, u := range all {
			out = append(out, userOf(c.Partition(), u, "", false))
		}
		return struct {
			Users []user `xml:"Users>member"`
			paged
		}{out, pagedBy(next)}, err
	},
	"UpdateUser": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.UpdateUser(ctx, in.need("UserName"), in.text("NewUserName"), in.text("NewPath"))
	},
	"DeleteUser": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.DeleteUser(ctx, in.need("UserName"))
	},
	"CreateAccessKey": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		u, k, secret, err := c.CreateAccessKey(ctx, in.text("UserName"))
		return struct{ AccessKey accessKey }{keyOf(u, k, secret)}, err
	},
	"ListAccessKeys": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		u, keys, err := c.AccessKeys(ctx, in.text("UserName"))
		var out []accessKey
		for _, k := range keys {
			out = append(out, keyOf(u, k, ""))
		}
		return struct {
			UserName          string
			AccessKeyMetadata []accessKey `xml:"AccessKeyMetadata>member"`
			IsTruncated       bool
		}{u.Name, out, false}, err
	},
	"UpdateAccessKey": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		id, status := in.need("AccessKeyId"), in.need("Status")
		if in.err == nil && status != "Active" && status != "Inactive" {
			in.fail(ecr.Errorf(ecr.CodeValidation, "1 validation error detected: Value '%.100s' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]", status))
		}
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.SetAccessKeyActive(ctx, in.text("UserName"), id, status == "Active")
	},
	"DeleteAccessKey": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		id := in.need("AccessKeyId")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.DeleteAccessKey(ctx, in.text("UserName"), id)
	},
	"GetAccessKeyLastUsed": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		u, k, err := c.AccessKeyLastUsed(ctx, in.need("AccessKeyId"))
		type lastUsed struct {
			LastUsedDate string `xml:",omitempty"`
			ServiceName  string
			Region       string
		}
		used := lastUsed{"", "N/A", "N/A"}
		if !k.LastUsed.At.IsZero() {
			used = lastUsed{date(k.LastUsed.At), k.LastUsed.Service, k.LastUsed.Region}
		}
		return struct {
			UserName          string
			AccessKeyLastUsed lastUsed
		}{u.Name, used}, err
	},
}

var roleOperations = map[string]operation{
	"CreateRole": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		n := iam.NewRole{
			Name: in.need("RoleName"), Path: in.text("Path"), Trust: in.need("AssumeRolePolicyDocument"), Description: in.text("Description"),
			MaxSession: in.seconds("MaxSessionDuration"), Boundary: in.text("PermissionsBoundary"), Tags: in.tags("Tags"),
		}
		if in.err != nil {
			return nil, in.err
		}
		r, err := c.CreateRole(ctx, n)
		return roleResult(ctx, c, r, err)
	},
	"GetRole": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		r, err := c.Role(ctx, in.need("RoleName"))
		return roleResult(ctx, c, r, err)
	},
	"ListRoles": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		page := in.page()
		if in.err != nil {
			return nil, in.err
		}
		all, next, err := c.Roles(ctx, page)
		var out []role
		for _, r := range all {
			out = append(out, roleOf(c.Partition(), r, "", false))
		}
		return struct {
			Roles []role `xml:"Roles>member"`
			paged
		}{out, pagedBy(next)}, err
	},
	"UpdateRole": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		var description *string
		if in.form.Has("Description") {
			text := in.text("Description")
			description = &text
		}
		name, longest := in.need("RoleName"), in.seconds("MaxSessionDuration")
		if in.err != nil {
			return nil, in.err
		}
		return struct{}{}, c.UpdateRole(ctx, name, description, longest)
	},
	"UpdateAssumeRolePolicy": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.UpdateAssumeRolePolicy(ctx, in.need("RoleName"), in.need("PolicyDocument"))
	},
	"DeleteRole": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.DeleteRole(ctx, in.need("RoleName"))
	},
}

var policyOperations = map[string]operation{
	"CreatePolicy": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, text := in.need("PolicyName"), in.need("PolicyDocument")
		if in.err != nil {
			return nil, in.err
		}
		m, err := c.CreatePolicy(ctx, name, in.text("Path"), in.text("Description"), text, in.tags("Tags"))
		return struct{ Policy managedPolicy }{policyOf(m)}, err
	},
	"GetPolicy": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		m, err := c.ManagedPolicy(ctx, in.need("PolicyArn"))
		return struct{ Policy managedPolicy }{policyOf(m)}, err
	},
	"ListPolicies": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		page, attached := in.page(), in.boolean("OnlyAttached")
		if in.err != nil {
			return nil, in.err
		}
		all, next, err := c.ManagedPolicies(ctx, page, in.text("Scope"), attached)
		var out []managedPolicy
		for _, m := range all {
			p := policyOf(m)
			p.Description, p.Tags = "", nil // as the API reference says of this list
			out = append(out, p)
		}
		return struct {
			Policies []managedPolicy `xml:"Policies>member"`
			paged
		}{out, pagedBy(next)}, err
	},
	"DeletePolicy": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.DeletePolicy(ctx, in.need("PolicyArn"))
	},
	"CreatePolicyVersion": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		arn, text, set := in.need("PolicyArn"), in.need("PolicyDocument"), in.boolean("SetAsDefault")
		if in.err != nil {
			return nil, in.err
		}
		v, err := c.CreatePolicyVersion(ctx, arn, text, set)
		return struct{ PolicyVersion policyVersion }{versionOf(v, false)}, err
	},
	"GetPolicyVersion": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		v, err := c.PolicyVersion(ctx, in.need("PolicyArn"), in.need("VersionId"))
		return struct{ PolicyVersion policyVersion }{versionOf(v, true)}, err
	},
	"ListPolicyVersions": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		all, err := c.PolicyVersions(ctx, in.need("PolicyArn"))
		var out []policyVersion
		for _, v := range all {
			out = append(out, versionOf(v, false))
		}
		return struct {
			Versions    []policyVersion `xml:"Versions>member"`
			IsTruncated bool
		}{out, false}, err
	},
	"SetDefaultPolicyVersion": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.SetDefaultPolicyVersion(ctx, in.need("PolicyArn"), in.need("VersionId"))
	},
	"DeletePolicyVersion": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.DeletePolicyVersion(ctx, in.need("PolicyArn"), in.need("VersionId"))
	},
}

// grantOperations are what users and roles have in common; action names hold
// the holder's where there is a *.
func grantOperations(of iam.Holder) map[string]operation {
	holder := string(of) + "Name"
	out := map[string]operation{}
	add := func(name string, op operation) { out[strings.Replace(name, "*", string(of), 1)] = op }
	add("Put*Policy", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, policyName, text := in.need(holder), in.need("PolicyName"), in.need("PolicyDocument")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.PutInline(ctx, of, name, policyName, text)
	})
	add("Get*Policy", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, policyName := in.need(holder), in.need("PolicyName")
		text, err := c.Inline(ctx, of, name, policyName)
		type result struct {
			UserName       string `xml:",omitempty"`
			RoleName       string `xml:",omitempty"`
			PolicyName     string
			PolicyDocument string
		}
		r := result{PolicyName: policyName, PolicyDocument: encoded(text)}
		if of == iam.OfRole {
			r.RoleName = name
		} else {
			r.UserName = name
		}
		return r, err
	})
	add("List*Policies", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		names, err := c.InlineNames(ctx, of, in.need(holder))
		return struct {
			PolicyNames []string `xml:"PolicyNames>member"`
			IsTruncated bool
		}{names, false}, err
	})
	add("Delete*Policy", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, policyName := in.need(holder), in.need("PolicyName")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.DeleteInline(ctx, of, name, policyName)
	})
	add("Attach*Policy", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, arn := in.need(holder), in.need("PolicyArn")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.Attach(ctx, of, name, arn)
	})
	add("Detach*Policy", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, arn := in.need(holder), in.need("PolicyArn")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.Detach(ctx, of, name, arn)
	})
	add("ListAttached*Policies", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		all, err := c.Attached(ctx, of, in.need(holder))
		var out []attachedPolicy
		for _, m := range all {
			if strings.HasPrefix(m.Path, in.text("PathPrefix")) {
				out = append(out, attachedPolicy{m.Name, m.ARN})
			}
		}
		return struct {
			AttachedPolicies []attachedPolicy `xml:"AttachedPolicies>member"`
			IsTruncated      bool
		}{out, false}, err
	})
	add("Put*PermissionsBoundary", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, arn := in.need(holder), in.need("PermissionsBoundary")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.PutBoundary(ctx, of, name, arn)
	})
	add("Delete*PermissionsBoundary", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.DeleteBoundary(ctx, of, in.need(holder))
	})
	add("Tag*", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, tags := in.need(holder), in.tags("Tags")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.Tag(ctx, of, name, tags)
	})
	add("Untag*", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		name, keys := in.need(holder), in.texts("TagKeys")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.Untag(ctx, of, name, keys)
	})
	add("List*Tags", func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		tags, err := c.TagsOf(ctx, of, in.need(holder))
		return struct {
			Tags        []tag `xml:"Tags>member"`
			IsTruncated bool
		}{tagsOf(tags), false}, err
	})
	return out
}

var otherOperations = map[string]operation{
	"CreateOpenIDConnectProvider": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		url := in.need("Url")
		if in.err != nil {
			return nil, in.err
		}
		arn, err := c.CreateProvider(ctx, url, in.texts("ClientIDList"), in.texts("ThumbprintList"))
		return struct {
			OpenIDConnectProviderArn string
		}{arn}, err
	},
	"GetOpenIDConnectProvider": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		i, err := c.Provider(ctx, in.need("OpenIDConnectProviderArn"))
		return struct {
			URL            string   `xml:"Url"`
			ClientIDList   []string `xml:"ClientIDList>member"`
			ThumbprintList []string `xml:"ThumbprintList>member"`
			CreateDate     string
		}{i.URL, i.Audiences, i.Thumbprints, date(i.CreatedAt)}, err
	},
	"ListOpenIDConnectProviders": func(ctx context.Context, c *iam.Caller, _ *params) (any, error) {
		arns, err := c.Providers(ctx)
		type entry struct{ Arn string }
		var out []entry
		for _, arn := range arns {
			out = append(out, entry{arn})
		}
		return struct {
			OpenIDConnectProviderList []entry `xml:"OpenIDConnectProviderList>member"`
		}{out}, err
	},
	"AddClientIDToOpenIDConnectProvider": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		arn, id := in.need("OpenIDConnectProviderArn"), in.need("ClientID")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.ChangeAudience(ctx, arn, id, true)
	},
	"RemoveClientIDFromOpenIDConnectProvider": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		arn, id := in.need("OpenIDConnectProviderArn"), in.need("ClientID")
		if in.err != nil {
			return nil, in.err
		}
		return nil, c.ChangeAudience(ctx, arn, id, false)
	},
	"DeleteOpenIDConnectProvider": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return nil, c.DeleteProvider(ctx, in.need("OpenIDConnectProviderArn"))
	},
	"GetAccountAuthorizationDetails": accountDetails,
	"SimulatePrincipalPolicy": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return simulation(ctx, c, in, in.need("PolicySourceArn"))
	},
	"SimulateCustomPolicy": func(ctx context.Context, c *iam.Caller, in *params) (any, error) {
		return simulation(ctx, c, in, "")
	},
}

func simulation(ctx context.Context, c *iam.Caller, in *params, source string) (any, error) {
	sim := iam.Simulation{
		Source: source, Policies: in.texts("PolicyInputList"), Boundaries: in.texts("PermissionsBoundaryPolicyInputList"),
		Actions: in.texts("ActionNames"), Resources: in.texts("ResourceArns"), ResourcePolicy: in.text("ResourcePolicy"),
		ResourceOwner: in.text("ResourceOwner"), Caller: in.text("CallerArn"), Context: in.context("ContextEntries"),
	}
	if in.err != nil {
		return nil, in.err
	}
	all, err := c.Simulate(ctx, sim)
	type statement struct {
		SourcePolicyID   string `xml:"SourcePolicyId"`
		SourcePolicyType string
	}
	type detail struct{ AllowedByPermissionsBoundary bool }
	type result struct {
		EvalActionName                    string
		EvalResourceName                  string
		EvalDecision                      string
		MatchedStatements                 []statement `xml:"MatchedStatements>member"`
		MissingContextValues              []string    `xml:"MissingContextValues>member"`
		PermissionsBoundaryDecisionDetail *detail
	}
	var out []result
	for _, s := range all {
		r := result{EvalActionName: s.Action, EvalResourceName: s.Resource, EvalDecision: s.Decision, MissingContextValues: s.Missing}
		for _, ref := range s.Matched {
			kind := "IAM Policy"
			if ref.Policy == "ResourcePolicy" {
				kind = "Resource Policy"
			}
			r.MatchedStatements = append(r.MatchedStatements, statement{ref.Policy, kind})
		}
		if s.Boundary {
			r.PermissionsBoundaryDecisionDetail = &detail{s.WithinBoundary}
		}
		out = append(out, r)
	}
	return struct {
		EvaluationResults []result `xml:"EvaluationResults>member"`
		IsTruncated       bool
	}{out, false}, err
}
