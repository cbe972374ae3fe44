package wording_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/wording"
)

// What another wording changes is noted on the difference, and changes of effect are
// not.
func TestMark(t *testing.T) {
	const (
		twoRules = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}},{"rulePriority":2,"selection":{"tagStatus":"tagged","tagPrefixList":["v"],"countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}}]}`
		reworded = `{"rules":[{"rulePriority":5,"description":"x","selection":{"tagStatus":"tagged","tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}},{"rulePriority":9,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
		fewer    = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":8},"action":{"type":"expire"}}]}`
		keepsAll = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"tagged","tagPatternList":["v*"],"countType":"imageCountMoreThan","countNumber":200000},"action":{"type":"expire"}}]}`

		begin = `{"Version":"2012-10-17","Statement":[`
		pull  = `{"Sid":"A","Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}`
		more  = `{"Sid":"B","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:ListImages"]}`
		del   = `{"Sid":"B","Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:BatchDeleteImage"]}`
		own   = `{"Sid":"Own","Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}`
		end   = `]}`
	)
	for name, c := range map[string]struct {
		field         plan.Field
		before, after string
		want          *plan.Wording
		reworded      bool
	}{
		"order and prefix":  {plan.FieldLifecycle, twoRules, reworded, &plan.Wording{}, true},
		"a count less":      {plan.FieldLifecycle, reworded, fewer, nil, false},
		"no effect at all":  {plan.FieldLifecycle, keepsAll, "", &plan.Wording{}, true},
		"a rule more":       {plan.FieldLifecycle, "", fewer, nil, false},
		"unreadable":        {plan.FieldLifecycle, "{", fewer, nil, false},
		"actions that read": {plan.FieldPolicy, begin + pull + end, begin + more + end, &plan.Wording{Gained: []string{"ecr:ListImages"}}, false},
		"and fewer":         {plan.FieldPolicy, begin + more + end, begin + pull + end, &plan.Wording{Lost: []string{"ecr:ListImages"}}, false},
		"own account":       {plan.FieldPolicy, begin + pull + "," + own + end, begin + pull + end, &plan.Wording{}, true},
		"the only one":      {plan.FieldPolicy, begin + own + end, "", &plan.Wording{}, true},
		"delete":            {plan.FieldPolicy, begin + pull + end, begin + del + end, nil, false},
		"a part of pull":    {plan.FieldPolicy, begin + `{"Effect":"Allow","Principal":{"AWS":"222222222222"},"Action":"ecr:BatchGetImage"}` + end, "", nil, false},
		"not readable":      {plan.FieldPolicy, "{", begin + del + end, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := &plan.Settings{}, &plan.Settings{}
			if c.field == plan.FieldLifecycle {
				before.Lifecycle, after.Lifecycle = c.before, c.after
			} else {
				before.Policy, after.Policy = c.before, c.after
			}
			p := plan.Plan{Target: plan.Target{Name: "prod", Account: "111111111111", Region: "us-east-1"}, Changes: []plan.Change{{
				Repository: "api", Op: plan.OpUpdate, Before: before, After: after, Differences: []plan.Difference{{Field: c.field, Action: plan.Modify}},
			}}}
			wording.Mark(&p)
			if d := cmp.Diff(c.want, p.Changes[0].Differences[0].OtherWording); d != "" {
				t.Error(d)
			}
			if got := p.Changes[0].Reworded(); got != c.reworded {
				t.Errorf("reworded: %t", got)
			}
			p.Changes[0].Differences = append(p.Changes[0].Differences, plan.Difference{Field: plan.FieldTag, Key: "a", Action: plan.Add})
			if p.Changes[0].Reworded() {
				t.Error("another change counts as none")
			}
		})
	}
}
