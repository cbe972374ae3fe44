package parts

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Question is a page that asks before something is done. The form repeats Hidden, and has
// a fingerprint of what was shown.
type Question struct {
	To, Back string
	Says     []string // what becomes of what
	Tables   []*Table
	Hidden   [][2]string
	Reason   string // label of a text to give, "" for none
	Do       string
	Danger   bool
}

// Ask shows a question. again: it was answered, but something has changed since.
func (v *Visit) Ask(q Question, seen string, again bool, l Layout) error {
	q.Hidden = append(q.Hidden, [2]string{"seen", seen})
	if again {
		l.Message = &Message{Kind: "warn", Text: t("Nothing is done yet: something has changed since you saw this. Look at it again.")}
	}
	l.Data = q
	return v.Show(Shared, "ask", l)
}

// Tried are fingerprints of a policy whose changes were shown and of the one that was
// in force: a form has them, so that what is saved is what was seen.
type Tried struct{ Text, Saved string }

// Fingerprint is that of a policy, however the browser ends its lines.
func Fingerprint(text string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))))
	return hex.EncodeToString(sum[:16])
}

// NotTried says why the form must be shown again before it is saved; nil for a policy
// whose changes to the one in force were shown.
func (v *Visit) NotTried(text, inForce string) *Message {
	switch was := (Tried{v.R.PostFormValue("tried"), v.R.PostFormValue("saved")}); {
	case was.Text != Fingerprint(text):
		return &Message{Kind: "warn", Text: t("It is not saved yet: the text has changed since you saw what it changes. Look at it, then save it.")}
	case was.Saved != Fingerprint(inForce):
		return &Message{Kind: "warn", Text: t("It is not saved yet: someone else has changed the policy in force. Look at what yours changes now, then save it.")}
	}
	return nil
}

// Refused says that a policy was refused; other errors stay errors.
func (v *Visit) Refused(err error) (*Message, error) {
	status, code, text := Told(err, v.Req.ID)
	if code == "" {
		return nil, err
	}
	v.Status = status
	return &Message{Kind: "bad", Text: t("The policy was not saved: %s", Clean(text))}, nil
}
