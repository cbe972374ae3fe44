package report

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/policy"
)

// Access is the answer to whether a principal may do something in a repository.
type Access struct {
	Principal string `json:"principal"` // "*": every other AWS account
	// Right is what was asked for, such as "pull" or "ecr:PutImage".
	Right      string         `json:"right"`
	Repository string         `json:"repository"` // ARN
	Outcome    proof.Outcome  `json:"outcome"`
	Missing    bool           `json:"missing,omitempty"` // no such user or role
	Actions    []AccessAction `json:"actions"`
	// Changes are the smallest that allow what is denied.
	Changes []AccessChange `json:"changes,omitempty"`
	// Field is the field of the file that would grant the repository's side,
	// such as `pull_principals: ["..."]`; "" for none.
	Field string `json:"field,omitempty"`
	// Notes are what could not be seen, and why.
	Notes []string `json:"notes,omitempty"`
	// Token is the machine token of Principal that was asked about; nil for the
	// principal itself. Tokens are those of a user.
	Token  *AccessToken  `json:"token,omitempty"`
	Tokens []AccessToken `json:"tokens,omitempty"`
}

// TokensOff is the note about tokens that the server does not accept.
const TokensOff = "The server does not accept machine tokens: start it with --machine-credentials on (kontor up), or machine_credentials: \"on\" (kontor serve)."

// AccessToken is what a machine token leaves of the rights of its user.
type AccessToken struct {
	ID        string        `json:"id"`
	Name      string        `json:"name"`
	Outcome   proof.Outcome `json:"outcome"`
	ExpiresAt time.Time     `json:"expires_at,omitzero"`
	Expired   bool          `json:"expired,omitempty"`
	// Off: the server does not accept machine tokens.
	Off bool `json:"off,omitempty"`
	// Denied are the actions that are denied with the token.
	Denied []string `json:"denied,omitempty"`
	// DependsOn are the condition keys that decide.
	DependsOn []string `json:"depends_on,omitempty"`
}

// NewAccessToken is the report of an answer about a token.
func NewAccessToken(t proof.Token, a proof.Answer) AccessToken {
	out := AccessToken{ID: t.ID, Name: t.Name, Outcome: a.Outcome, ExpiresAt: t.ExpiresAt, Expired: t.Expired, Off: t.Off}
	for _, x := range a.Actions {
		if x.Outcome == proof.Denied {
			out.Denied = append(out.Denied, string(x.Action))
		}
		for _, key := range x.DependsOn {
			if !slices.Contains(out.DependsOn, key) {
				out.DependsOn = append(out.DependsOn, key)
			}
		}
	}
	return out
}

// AccessAction is the decision about one action, by which statements.
type AccessAction struct {
	Action        string        `json:"action"`
	Resource      string        `json:"resource"`
	Outcome       proof.Outcome `json:"outcome"`
	Deny          *Statement    `json:"deny,omitempty"`
	IdentityAllow *Statement    `json:"identity_allow,omitempty"`
	ResourceAllow *Statement    `json:"resource_allow,omitempty"`
	// Lacking are the kinds of policies that would have to allow and do not.
	Lacking   []policy.Source `json:"lacking,omitempty"`
	DependsOn []string        `json:"depends_on,omitempty"`
	// Unseen is what could not be read, for the outcome of that name.
	Unseen string `json:"unseen,omitempty"`
	// Near are the statements that would allow what is denied, had one element
	// been another, actions apart: those are many and say little.
	Near []NearStatement `json:"near,omitempty"`
}

// Statement names a statement of a policy.
type Statement struct {
	Source policy.Source `json:"source"`
	Policy string        `json:"policy"`
	Number int           `json:"statement"` // from 1, as in texts
	Sid    string        `json:"sid,omitempty"`
}

func newStatement(r policy.Ref) Statement { return Statement{r.Source, r.Policy, r.Index + 1, r.Sid} }

// String is such as `repository policy, statement 1 "AllowPull"`.
func (s Statement) String() string {
	return policy.Ref{Source: s.Source, Policy: s.Policy, Index: s.Number - 1, Sid: s.Sid}.String()
}

// NearStatement is a statement that one element keeps from applying.
type NearStatement struct {
	Statement
	Element string `json:"element"` // such as "Principal"
	// Operator and Key are the first condition that does not hold.
	Operator string `json:"operator,omitempty"`
	Key      string `json:"key,omitempty"`
}

// AccessChange is a change of a policy.
type AccessChange struct {
	Account string        `json:"account"` // in which to make it
	In      policy.Source `json:"in"`
	// Add is a statement to add; Remove one to remove or to narrow.
	Add    json.RawMessage `json:"add,omitempty"`
	Remove *Statement      `json:"remove,omitempty"`
	// IfMissing: whether it exists could not be seen.
	IfMissing bool `json:"if_missing,omitempty"`
}

// Grants reports whether c is what a field of the file could do.
func (c AccessChange) Grants() bool { return c.In == policy.ResourceBased && c.Add != nil }

// NewAccess is the report of an answer about a right. field is the one of the
// file that would grant the repository's side.
func NewAccess(right string, a proof.Answer, field string, notes []string) Access {
	out := access(right, a)
	out.Notes = notes
	if slices.ContainsFunc(out.Changes, AccessChange.Grants) {
		out.Field = field
	}
	return out
}

func access(right string, a proof.Answer) Access {
	out := Access{Principal: a.Principal, Right: right, Repository: a.Repository, Outcome: a.Outcome, Missing: a.Missing}
	for _, x := range a.Actions {
		action := AccessAction{
			Action: string(x.Action), Resource: x.Resource, Outcome: x.Outcome, Deny: statement(x.Deny),
			IdentityAllow: statement(x.IdentityAllow), ResourceAllow: statement(x.ResourceAllow), Lacking: x.Lacking, DependsOn: x.DependsOn, Unseen: x.Unseen,
		}
		for _, n := range x.Near {
			if x.Outcome == proof.Denied && n.Effect == policy.Allow && !strings.HasSuffix(n.Element, "Action") {
				action.Near = append(action.Near, NearStatement{newStatement(n.Ref), n.Element, n.Operator, n.Key})
			}
		}
		out.Actions = append(out.Actions, action)
	}
	for _, c := range a.Changes {
		change := AccessChange{Account: c.Account, In: c.In, Remove: statement(c.Remove), IfMissing: c.Wanted}
		if c.Add != nil {
			change.Add = json.RawMessage(statementText(*c.Add))
		}
		out.Changes = append(out.Changes, change)
	}
	return out
}

// statement is nil for no statement.
func statement(r policy.Ref) *Statement {
	if r == (policy.Ref{}) {
		return nil
	}
	s := newStatement(r)
	return &s
}

// statementText is a statement as JSON.
func statementText(s policy.Statement) string {
	doc := policy.Document{Version: policy.Version2012, Statements: []policy.Statement{s}}
	var parts struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(doc.String()), &parts); err != nil {
		return doc.String()
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(parts.Statement), "["), "]")
}

// WhoCan is who may do something in a repository.
type WhoCan struct {
	Right   string   `json:"right"`
	Answers []Access `json:"answers"`
	Notes   []string `json:"notes,omitempty"`
}

// NewWhoCan is the report of the answers about a right.
func NewWhoCan(right string, answers []proof.Answer, notes []string) WhoCan {
	out := WhoCan{right, []Access{}, notes}
	for _, a := range answers {
		out.Answers = append(out.Answers, access(right, a))
	}
	return out
}

// Matrix is who may do what.
type Matrix struct {
	// Cells are those of each principal and repository, in the order of
	// Principals and then of Repositories.
	Cells []Cell   `json:"cells"`
	Notes []string `json:"notes,omitempty"`
	// Principals and Repositories are there even when there are no cells.
	Principals   []string `json:"principals"`
	Repositories []string `json:"repositories"` // ARNs
}

// Cell is what a principal may do in a repository.
type Cell struct {
	Principal  string                        `json:"principal"`
	Repository string                        `json:"repository"`
	Rights     map[proof.Right]proof.Outcome `json:"rights"`
}

// NewMatrix is the report of a matrix.
func NewMatrix(m proof.Matrix, notes []string) Matrix {
	out := Matrix{Cells: []Cell{}, Notes: notes, Principals: list(m.Principals), Repositories: list(m.Repositories)}
	for i, principal := range m.Principals {
		for j, repository := range m.Repositories {
			c := Cell{principal, repository, map[proof.Right]proof.Outcome{}}
			for k, right := range proof.Rights() {
				c.Rights[right] = m.Cells[i][j][k]
			}
			out.Cells = append(out.Cells, c)
		}
	}
	return out
}

// Row are the cells of a principal by its place in Principals, a cell for each
// repository.
func (m *Matrix) Row(principal int) []Cell {
	n := len(m.Repositories)
	return m.Cells[principal*n : (principal+1)*n]
}

// Unseen reports whether something that decides about the principal of a row
// was not seen.
func (m *Matrix) Unseen(principal int) bool {
	for _, c := range m.Row(principal) {
		for _, o := range c.Rights {
			if o == proof.Unseen {
				return true
			}
		}
	}
	return false
}
