package parts

import (
	"context"
	"errors"
	"strings"

	"github.com/kontor-registry/kontor/internal/gate"
)

// Tried are fingerprints of a policy whose changes were shown, of the one that was in force,
// and of the changes: a form has them, so that what is saved is what was seen.
type Tried struct{ Text, Saved, Changes string }

// NewTried are those of a policy. The tables are its changes.
func NewTried(text, inForce string, changes ...*Table) (Tried, error) {
	var b strings.Builder
	for _, x := range changes {
		b.WriteString(x.ID + "\n")
		if err := x.writeCSV(&b); err != nil {
			return Tried{}, err
		}
	}
	return Tried{Fingerprint(text), Fingerprint(inForce), Fingerprint(b.String())}, nil
}

// SaveTried saves the policy of the form if its changes are what was shown, in the transaction
// in which save saves it. now must read with the visit that it is given. notice says why
// nothing was saved; nil where it was, and where err is not nil.
func (v *Visit) SaveTried(now func(v *Visit) (Tried, error), save func(ctx context.Context) error) (notice *Message, err error) {
	was := Tried{v.R.PostFormValue("tried"), v.R.PostFormValue("saved"), v.R.PostFormValue("changes")}
	if was.Text != Fingerprint(v.R.PostFormValue("text")) {
		return &Message{Kind: "warn", Text: t("It is not saved yet: the text has changed since you saw what it changes. Look at it, then save it.")}, nil
	}
	err = save(gate.Provided(v.R.Context(), func(ctx context.Context) error {
		notice = nil
		is, err := now(v.In(ctx))
		switch {
		case err != nil:
			return err
		case was.Saved != is.Saved:
			notice = &Message{Kind: "warn", Text: t("It is not saved yet: someone else has changed the policy in force. Look at what yours changes now, then save it.")}
			return ErrChanged
		case was.Changes != is.Changes:
			notice = &Message{Kind: "warn", Text: t("It is not saved yet: what it changes is not what you saw, because images, users or other policies have changed since. Look at it again, then save it.")}
			return ErrChanged
		}
		return nil
	}))
	if errors.Is(err, ErrChanged) {
		return notice, nil
	}
	if err != nil {
		return v.refused(err)
	}
	return nil, nil
}

// refused says that a policy was refused; other errors stay errors.
func (v *Visit) refused(err error) (*Message, error) {
	status, code, text := Told(err, v.Req.ID)
	if code == "" {
		return nil, err
	}
	v.Status = status
	return &Message{Kind: "bad", Text: t("The policy was not saved: %s", Clean(text))}, nil
}
