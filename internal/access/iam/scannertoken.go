package iam

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// readScope is what a scanner needs to read an image.
var readScope = []access.Action{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:ListImageReferrers"}

// scannerPolicy is the name of the policy of the user whose tokens scanners have.
const scannerPolicy = "read-images"

func allow(resource string) string {
	text, err := json.Marshal(map[string]any{
		"Version": "2012-10-17", "Statement": []map[string]any{{"Effect": "Allow", "Action": readScope, "Resource": resource}},
	})
	if err != nil {
		panic(err) // strings and lists of strings always have a form in JSON
	}
	return string(text)
}

// ScannerToken makes a token with which the images of one repository of c's account can
// be read, and the user access.ScannerUser that it belongs to where that is missing. It
// removes tokens of scans that are over. c is the server itself.
func (t Tokens) ScannerToken(ctx context.Context, at ecr.Repo, until time.Time) (id, password string, err error) {
	c := t.c
	if c.p.System == "" || at.In.Account != c.p.Account {
		return "", "", fmt.Errorf("iam: defect: tokens of scanners are made by the server, in the account %s of the repository", at.In.Account)
	}
	err = c.update(ctx, createToken, func(ctx context.Context, tx *writing) error {
		if err := tx.may(question{resource: c.arn("user", "", access.ScannerUser)}); err != nil {
			return err
		}
		u, err := tx.User(ctx, c.p.Account, access.ScannerUser)
		if errors.Is(err, meta.ErrNotFound) {
			u = meta.User{
				UniqueID: identity.NewUserID(), Account: c.p.Account, Name: access.ScannerUser, CreatedAt: c.now(),
				Inline: map[string]string{scannerPolicy: allow("*")},
			}
			err = tx.InsertUser(ctx, u)
		}
		if err != nil {
			return err
		}
		list, err := tx.ListMachineTokens(ctx, u.UniqueID)
		if err != nil {
			return err
		}
		for _, old := range list {
			if of := (access.MachineToken{Name: old.Name}); of.OfScanner() && c.s.Expired(old) {
				if err := tx.DeleteMachineToken(ctx, old.ID); err != nil {
					return err
				}
			}
		}
		token := meta.MachineToken{
			UserUniqueID: u.UniqueID, Name: access.ScannerToken + rand.Text(), Policy: allow(at.ARN()),
			CreatedAt: c.now(), ExpiresAt: until.UTC().Truncate(time.Second),
		}
		password = identity.NewMachineToken(&token)
		id = token.ID
		return tx.InsertMachineToken(ctx, token)
	})
	return id, password, err
}
