package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// Only signers that the file names change; where they are not known, that is an error.
func TestSigners(t *testing.T) {
	release := state.Signer{Name: "release", Key: "k1", Repositories: []string{"prod/*"}}
	changed, gone := release, state.Signer{Name: "release", Removed: true}
	changed.Key = "k2"
	type signers = map[string]state.Signer
	for name, tt := range map[string]struct {
		want  []state.Signer
		have  signers
		end   plan.End
		op    plan.Op // "" for no change
		codes []plan.Code
	}{
		"none":              {nil, nil, plan.Nothing, "", nil},
		"new":               {[]state.Signer{release}, signers{}, plan.Nothing, plan.OpCreate, nil},
		"same":              {[]state.Signer{release}, signers{"release": release, "other": changed}, plan.Nothing, plan.OpNone, nil},
		"changed":           {[]state.Signer{changed}, signers{"release": release}, plan.Nothing, plan.OpUpdate, nil},
		"removed":           {[]state.Signer{gone}, signers{"release": release}, plan.Nothing, plan.OpDelete, nil},
		"removed before":    {[]state.Signer{gone}, signers{}, plan.Nothing, "", nil},
		"not in the file":   {nil, signers{"release": release}, plan.LeftFile, "", nil},
		"destroyed":         {[]state.Signer{release}, signers{"release": release}, plan.Everything, plan.OpDelete, nil},
		"Amazon ECR":        {[]state.Signer{release}, nil, plan.Nothing, "", []plan.Code{plan.CodeSigners}},
		"destroy on Amazon": {[]state.Signer{release}, nil, plan.Everything, "", []plan.Code{plan.CodeSigners}},
	} {
		t.Run(name, func(t *testing.T) {
			desired := state.Desired{Stack: "s", Wanted: state.Wanted{Signers: tt.want}}
			observed := state.Observed{Settings: state.Settings{Signers: tt.have, NoSigners: "it is Amazon ECR"}}
			p := plan.DiffWith(desired, observed, plan.Options{End: tt.end})
			var codes []plan.Code
			for _, f := range p.Findings {
				codes = append(codes, f.Code)
				if (f.Severity == plan.Error) != (tt.end != plan.Everything) {
					t.Errorf("%s: %s", f.Severity, f.Message)
				}
			}
			if d := cmp.Diff(tt.codes, codes); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
			if err := p.Check(); err != nil {
				t.Error(err)
			}
			if tt.op == "" {
				if len(p.Signers) > 0 {
					t.Errorf("%+v", p.Signers)
				}
				return
			}
			if len(p.Signers) != 1 || p.Signers[0].Op != tt.op || (p.Signers[0].Effect == "") != (tt.op == plan.OpNone) {
				t.Fatalf("%+v", p.Signers)
			}
			// What is there after the change is no change.
			c := p.Signers[0]
			if c.After != nil {
				if why := c.Moved(*c.After, true); why != "" {
					t.Errorf("applied again: %s", why)
				}
				if why := c.Moved(plan.Signer{Key: "k3"}, true); why == "" {
					t.Error("someone else's change is overwritten")
				}
			}
		})
	}
}
