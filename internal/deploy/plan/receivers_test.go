package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// Only receivers that the file names change; where they are not known, that is an error.
// Registries show neither secrets nor what may be one in a URL.
func TestEventReceivers(t *testing.T) {
	hook := state.EventReceiver{Name: "hook", URL: "https://h.example/services/T0AB12CD34EF56GH78", Format: "eventbridge", Types: []string{"image.*"}, SecretEnv: "S"}
	shown, typed, moved, gone, own := hook, hook, hook, state.EventReceiver{Name: "hook", Removed: true}, hook
	shown.URL, shown.SecretEnv = "https://h.example/services/...", ""
	typed.Types, moved.URL, own.OfServer = nil, "https://other.example/services/x", true
	type receivers = map[string]state.EventReceiver
	for name, tt := range map[string]struct {
		want   []state.EventReceiver
		have   receivers
		end    plan.End
		op     plan.Op // "" for no change
		fields []plan.Field
		codes  []plan.Code
	}{
		"none":                {},
		"new":                 {want: []state.EventReceiver{hook}, have: receivers{}, op: plan.OpCreate},
		"same":                {want: []state.EventReceiver{hook}, have: receivers{"hook": shown, "other": own}, op: plan.OpNone},
		"other types":         {want: []state.EventReceiver{typed}, have: receivers{"hook": shown}, op: plan.OpUpdate, fields: []plan.Field{plan.FieldTypes}},
		"another URL":         {want: []state.EventReceiver{moved}, have: receivers{"hook": shown}, op: plan.OpUpdate, fields: []plan.Field{plan.FieldURL}},
		"removed":             {want: []state.EventReceiver{gone}, have: receivers{"hook": shown}, op: plan.OpDelete},
		"removed before":      {want: []state.EventReceiver{gone}, have: receivers{}},
		"not in the file":     {have: receivers{"hook": shown}, end: plan.LeftFile},
		"destroyed":           {want: []state.EventReceiver{hook}, have: receivers{"hook": shown}, end: plan.Everything, op: plan.OpDelete},
		"of the server":       {want: []state.EventReceiver{hook}, have: receivers{"hook": own}, codes: []plan.Code{plan.CodeReceivers}},
		"Amazon ECR":          {want: []state.EventReceiver{hook}, codes: []plan.Code{plan.CodeReceivers}},
		"destroyed on Amazon": {want: []state.EventReceiver{hook}, end: plan.Everything, codes: []plan.Code{plan.CodeReceivers}},
	} {
		t.Run(name, func(t *testing.T) {
			desired := state.Desired{Stack: "s", Wanted: state.Wanted{Receivers: tt.want}}
			observed := state.Observed{Settings: state.Settings{Receivers: tt.have, NoReceivers: "it is Amazon ECR"}}
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
			var op plan.Op
			var fields []plan.Field
			for _, c := range p.Receivers {
				op = c.Op
				for _, d := range c.Differences {
					fields = append(fields, d.Field)
				}
				if c.After != nil && c.Moved(*c.After, true) != "" {
					t.Error("what is there after the change is a change")
				}
				if other := plan.EventReceiverOf(moved); c.Op == plan.OpUpdate && c.After.URL != moved.URL && c.Moved(other, true) == "" {
					t.Error("someone else's change is overwritten")
				}
			}
			if d := cmp.Diff(tt.op, op) + cmp.Diff(tt.fields, fields); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}
