package iam

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Actions of the console. Users need none of them for their own sessions.
const (
	actionOpenConsole  access.Action = "kontor:OpenConsole"
	actionListSessions access.Action = "kontor:ListConsoleSessions"
	actionEndSession   access.Action = "kontor:EndConsoleSession"
)

// Console is sessions of the web console as a principal begins, sees and ends them.
type Console struct{ c *Caller }

// Console returns the sessions of the console for p.
func (s *Service) Console(p access.Principal) *Console { return &Console{s.As(p)} }

// Open begins a session of the console for the caller, or makes a one-time
// link to one, and returns the secret for the browser. It needs no permission and
// gives no rights but the caller's; it is on record as a change, as a login.
func (c *Console) Open(ctx context.Context, link bool) (secret string, session meta.ConsoleSession, err error) {
	err = c.c.gate.Ask(ctx, operation(actionOpenConsole), func(_ context.Context, v *gate.View) error {
		return v.Decided(actionOpenConsole, c.c.p.ARN, authz.Decision{Allowed: true})
	})
	if err != nil {
		return "", session, err
	}
	return c.c.s.cfg.Identity.OpenConsole(ctx, c.c.p, link)
}

// Sessions lists the caller's sessions and links that have not been opened,
// or with all those of the account, after the id after: at most limit of those that
// have not ended.
func (c *Console) Sessions(ctx context.Context, all bool, after string, limit int) (list []meta.ConsoleSession, err error) {
	err = c.c.view(ctx, actionListSessions, func(ctx context.Context, r *reading) error {
		who := c.c.p.UniqueID
		if all {
			who = ""
			if err := r.may(question{resource: "*"}); err != nil {
				return err
			}
		} else if err := r.Decided(actionListSessions, c.c.p.ARN, authz.Decision{Allowed: true}); err != nil {
			return err
		}
		now := c.c.s.cfg.Now()
		list = nil
		for after, rows := after, limit; rows == limit && len(list) < limit; {
			page, err := r.ListConsoleSessions(ctx, c.c.p.Account, who, after, limit)
			if err != nil {
				return err
			}
			for _, s := range page {
				if after = s.ID; !identity.ConsoleEnded(s, now) && len(list) < limit {
					list = append(list, s)
				}
			}
			rows = len(page)
		}
		return nil
	})
	return list, err
}

// End ends a session of the caller's account, the caller's own or, with
// permission, another one's. NoSuchEntity.
func (c *Console) End(ctx context.Context, id string) error {
	return c.c.update(ctx, actionEndSession, func(ctx context.Context, tx *writing) error {
		s, err := tx.ConsoleSession(ctx, id)
		missing := errors.Is(err, meta.ErrNotFound) || err == nil && s.Account != c.c.p.Account
		switch {
		case err != nil && !missing:
			return err
		case !missing && s.UniqueID == c.c.p.UniqueID:
			err = tx.Decided(actionEndSession, c.c.p.ARN, authz.Decision{Allowed: true})
		case missing:
			err = tx.may(question{resource: "*"})
		default:
			err = tx.may(question{resource: s.Principal})
		}
		if err != nil {
			return err
		}
		if missing {
			return ecr.Errorf(CodeNoSuchEntity, "The session cannot be found: it has ended, or its time was over.")
		}
		return tx.DeleteConsoleSession(ctx, id)
	})
}
