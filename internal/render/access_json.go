package render

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/policy"
)

// The JSON forms of answers about access. Their names are published.

type answerForm struct {
	Principal  string        `json:"principal"` // "*": every other AWS account
	Right      string        `json:"right"`
	Repository string        `json:"repository"`
	Outcome    proof.Outcome `json:"outcome"`
	Missing    bool          `json:"missing,omitempty"` // no such user or role
	Actions    []actionForm  `json:"actions"`
	Changes    []changeForm  `json:"changes,omitempty"`
	Field      string        `json:"field,omitempty"`
	Notes      []string      `json:"notes,omitempty"`
}

type actionForm struct {
	Action        string        `json:"action"`
	Resource      string        `json:"resource"`
	Outcome       proof.Outcome `json:"outcome"`
	Deny          *refForm      `json:"deny,omitempty"`
	IdentityAllow *refForm      `json:"identity_allow,omitempty"`
	ResourceAllow *refForm      `json:"resource_allow,omitempty"`
	Lacking       []string      `json:"lacking,omitempty"`
	DependsOn     []string      `json:"depends_on,omitempty"`
	Unseen        string        `json:"unseen,omitempty"` // what could not be read
}

type refForm struct {
	Source    policy.Source `json:"source"`
	Policy    string        `json:"policy"`
	Statement int           `json:"statement"`
	Sid       string        `json:"sid,omitempty"`
}

type changeForm struct {
	Account string          `json:"account"`
	In      policy.Source   `json:"in"`
	Add     json.RawMessage `json:"add,omitempty"`
	Remove  *refForm        `json:"remove,omitempty"`
	// IfMissing: nobody could see whether it is there.
	IfMissing bool `json:"if_missing,omitempty"`
}

func refOf(r policy.Ref) *refForm {
	if r == (policy.Ref{}) {
		return nil
	}
	return &refForm{r.Source, r.Policy, r.Index, r.Sid}
}

func answerOf(right string, a proof.Answer) answerForm {
	f := answerForm{Principal: a.Principal, Right: right, Repository: a.Repository, Outcome: a.Outcome, Missing: a.Missing}
	for _, x := range a.Actions {
		form := actionForm{
			Action: string(x.Action), Resource: x.Resource, Outcome: x.Outcome, Deny: refOf(x.Deny),
			IdentityAllow: refOf(x.IdentityAllow), ResourceAllow: refOf(x.ResourceAllow), DependsOn: x.DependsOn, Unseen: x.Unseen,
		}
		for _, s := range x.Lacking {
			form.Lacking = append(form.Lacking, string(s))
		}
		f.Actions = append(f.Actions, form)
	}
	for _, c := range a.Changes {
		form := changeForm{Account: c.Account, In: c.In, Remove: refOf(c.Remove), IfMissing: c.Wanted}
		if c.Add != nil {
			form.Add = json.RawMessage(statementText(*c.Add))
		}
		f.Changes = append(f.Changes, form)
	}
	return f
}

// AccessJSON writes the answer as JSON.
func AccessJSON(w io.Writer, c AccessCheck) error {
	f := answerOf(c.Right, c.Answer)
	f.Notes = c.Notes
	if slices.ContainsFunc(c.Answer.Changes, grants) {
		f.Field = c.Field
	}
	return JSON(w, f)
}

// WhoCanJSON writes the answers as JSON.
func WhoCanJSON(w io.Writer, right string, list []proof.Answer, notes []string) error {
	form := struct {
		Right   string       `json:"right"`
		Answers []answerForm `json:"answers"`
		Notes   []string     `json:"notes,omitempty"`
	}{right, []answerForm{}, notes}
	for _, a := range list {
		form.Answers = append(form.Answers, answerOf(right, a))
	}
	return JSON(w, form)
}

// MatrixJSON writes the matrix as JSON: a cell for each principal and
// repository.
func MatrixJSON(w io.Writer, m proof.Matrix, notes []string) error {
	type cellForm struct {
		Principal  string                        `json:"principal"`
		Repository string                        `json:"repository"`
		Rights     map[proof.Right]proof.Outcome `json:"rights"`
	}
	form := struct {
		Cells []cellForm `json:"cells"`
		Notes []string   `json:"notes,omitempty"`
	}{[]cellForm{}, notes}
	for i, principal := range m.Principals {
		for j, repository := range m.Repositories {
			c := cellForm{principal, repository, map[proof.Right]proof.Outcome{}}
			for k, right := range proof.Rights() {
				c.Rights[right] = m.Cells[i][j][k]
			}
			form.Cells = append(form.Cells, c)
		}
	}
	return JSON(w, form)
}
