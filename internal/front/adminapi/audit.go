package adminapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (c *call) listAuditRecords(ctx context.Context, in *admin.ListAuditRecordsRequest) (*admin.ListAuditRecordsResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	for path, text := range map[string]string{"principal": in.Principal, "action": in.Action, "resource": in.Resource, "requestId": in.RequestID} {
		if err := bounded(path, text, 0, maxPrincipal); err != nil {
			return nil, err
		}
	}
	f := audit.Filter{Principal: in.Principal, Action: in.Action, Resource: in.Resource, RequestID: in.RequestID, Decision: audit.Decision(in.Decision), Since: in.Since, Until: in.Until}
	switch f.Decision {
	case "", audit.Allowed, audit.Denied:
	default:
		return nil, ecr.InvalidParameter("decision", "Member must satisfy enum value set: [%s, %s]", audit.Allowed, audit.Denied)
	}
	parameters := *in
	parameters.MaxResults, parameters.NextToken = 0, ""
	l, err := newListing("ListAuditRecords", at, parameters, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	var before audit.Place
	if l.after != "" {
		if _, err := fmt.Sscan(l.after, &before.File, &before.Offset); err != nil {
			return nil, badToken()
		}
	}
	found, err := c.h.cfg.Inspect.As(c.p).AuditRecords(ctx, at, f, before, l.limit)
	if err != nil {
		return nil, err
	}
	if found.Off {
		return nil, ecr.Errorf(ecr.CodeInvalidParameter, "The server has no audit log: it runs with audit off")
	}
	out := &admin.ListAuditRecordsResponse{Records: make([]json.RawMessage, len(found.Records)), UnreadableLines: found.Unreadable}
	for i, r := range found.Records {
		if out.Records[i], err = json.Marshal(r); err != nil {
			return nil, err
		}
	}
	if found.Next != (audit.Place{}) {
		out.NextToken = l.token(strings.TrimSpace(fmt.Sprintln(found.Next.File, found.Next.Offset)))
	}
	return out, nil
}
