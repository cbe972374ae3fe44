package render_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/render"
)

func TestAudit(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
	records := []audit.Record{
		{Time: at, Principal: "arn:aws:iam::111111111111:user/ci", Source: "192.0.2.1", Action: "ecr:PutImage",
			Resource: "arn:aws:ecr:us-east-1:111111111111:repository/app", Decision: audit.Allowed, Statement: "AdministratorAccess, statement 1"},
		{Time: at, Principal: "system: lifecycle", Action: "ecr:BatchDeleteImage", Resource: "*", Decision: audit.Allowed},
		{Time: at, Principal: "arn:aws:iam::222222222222:user/eve", Action: "ecr:BatchGetImage", Resource: "*", Decision: audit.Denied,
			Statement: "repository policy, statement 1", DependsOn: []string{"aws:SourceVpc"}, Reason: "User: eve is not authorized\x1b[2J"},
		{Time: at, AccessKey: "AKIAGUESS", Source: "192.0.2.1", Action: "kontor:Login", Resource: "*", Decision: audit.Denied, Suppressed: 2, Reason: "no"},
		{Time: at, Action: "kontor:Login", Resource: "*", Decision: audit.Denied},
	}
	const want = `2026-11-23T12:00:00Z allowed ecr:PutImage on arn:aws:ecr:us-east-1:111111111111:repository/app by arn:aws:iam::111111111111:user/ci from 192.0.2.1
    AdministratorAccess, statement 1
2026-11-23T12:00:00Z allowed ecr:BatchDeleteImage on * by system: lifecycle
2026-11-23T12:00:00Z denied  ecr:BatchGetImage on * by arn:aws:iam::222222222222:user/eve
    User: eve is not authorized\x1b[2J
    decided by repository policy, statement 1
    the condition key aws:SourceVpc is not known
2026-11-23T12:00:00Z denied  kontor:Login on * by key AKIAGUESS from 192.0.2.1
    no
    2 similar records before it left out
2026-11-23T12:00:00Z denied  kontor:Login on * by an unauthenticated caller
`
	var text, lines strings.Builder
	for _, r := range records {
		if err := render.Audit(&text, r, render.Options{}); err != nil {
			t.Fatal(err)
		}
		if err := render.AuditJSON(&lines, r); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, text.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// What is printed as JSON can be read as the log can.
	var again []audit.Record
	for line := range strings.Lines(lines.String()) {
		r, err := audit.ParseRecord([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, r)
	}
	if d := cmp.Diff(records, again); d != "" {
		t.Errorf("JSON (-want +got):\n%s", d)
	}
}
