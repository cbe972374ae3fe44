package inspect

import (
	"context"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
)

var opAuditRecords = gate.Op("AuditRecords", "kontor:ListAuditRecords")

// auditBytes bounds how much of the log one call reads.
const auditBytes = 16 << 20

// Records are what AuditRecords returns.
type Records struct {
	audit.Look
	// Off: nothing is on record.
	Off bool
}

// AuditRecords returns at most limit records of the audit log of this server that f
// selects and that concern the registry, newest first, before the place before. Those are
// records of what is in the registry, and of what users and roles of its account asked for
// that is in no other region. Failed logins have no account, so they are left out. Where
// much of the log has to be read to find some, there are fewer than limit and a place to
// go on before.
func (c *Caller) AuditRecords(ctx context.Context, in ecr.RegistryID, f audit.Filter, before audit.Place, limit int) (Records, error) {
	err := c.gate.Read(ctx, opAuditRecords, func(ctx context.Context, v *gate.View) error {
		_, err := v.EnterRegistry(ctx, in)
		return err
	})
	if err != nil || c.s.cfg.Audit == nil {
		return Records{Off: true}, err
	}
	look, err := c.s.cfg.Audit.Newest(f, func(r audit.Record) bool { return concerns(in, r) }, before, limit, auditBytes)
	for i := range look.Records {
		look.Records[i] = told(in, look.Records[i])
	}
	return Records{Look: look}, err
}

// told is what those who look after the registry are told of a record: not which policy
// of another account decided about what is in that account.
func told(in ecr.RegistryID, r audit.Record) audit.Record {
	if account := part(r.Resource, 4); account != "" && account != string(in.Account) {
		r.Statement, r.DependsOn = "", nil
	}
	return r
}

// part is a part of an ARN, arn:PARTITION:SERVICE:REGION:ACCOUNT:..., and "" of other texts.
func part(arn string, i int) string {
	if all := strings.SplitN(arn, ":", 6); len(all) == 6 && all[0] == "arn" {
		return all[i]
	}
	return ""
}

// concerns reports whether a record is for those who look after the registry.
func concerns(in ecr.RegistryID, r audit.Record) bool {
	if region := part(r.Resource, 3); region != "" && region != string(in.Region) {
		return false
	}
	account := string(in.Account)
	return part(r.Resource, 4) == account || part(r.Principal, 4) == account
}
