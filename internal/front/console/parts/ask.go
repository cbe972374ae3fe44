package parts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/kontor-registry/kontor/internal/gate"
)

// Question is a page that asks before something is done. The form repeats Hidden, and has
// a fingerprint of what was shown.
type Question struct {
	Layout   Layout // without Data
	To, Back string
	Says     []string // what becomes of what
	Tables   []*Table
	Hidden   [][2]string
	Reason   string // label of a text to give, "" for none
	Do       string // what the button says; "" where there is nothing to do
	Danger   bool
	// Of is what it is about besides what the tables say: if it or they are not the same
	// when the answer comes, the question is asked again.
	Of     string
	Status int // of the page that asks; 0 for 200
}

// seen is the fingerprint of what the question shows.
func (q *Question) seen() (string, error) {
	var b strings.Builder
	b.WriteString(q.Layout.Title + "\n" + q.Of)
	for _, h := range q.Hidden {
		b.WriteString("\n" + h[0] + "=" + h[1])
	}
	for _, x := range q.Tables {
		b.WriteString("\n")
		if err := x.writeCSV(&b); err != nil {
			return "", err
		}
	}
	return Fingerprint(b.String()), nil
}

// ErrChanged is for what is not as it was shown.
var ErrChanged = errors.New("it is not as it was shown")

// Confirm asks a question, and does something when it was answered: only if the question
// is still the same, in the transaction in which do changes something first. ask must
// read with the visit that it is given. done reports whether it was done; otherwise
// the question was shown, or err is not nil.
func (v *Visit) Confirm(ask func(v *Visit) (Question, error), do func(ctx context.Context) error) (done bool, err error) {
	q, err := ask(v)
	if err != nil {
		return false, err
	}
	seen, err := q.seen()
	if err != nil {
		return false, err
	}
	have := v.R.PostFormValue("seen")
	given := q.Reason == "" || strings.TrimSpace(v.R.PostFormValue("reason")) != ""
	if have != seen || !given || q.Do == "" {
		return false, v.ask(q, seen, have != "" && have != seen)
	}
	err = do(gate.Provided(v.R.Context(), func(ctx context.Context) error {
		q, err := ask(v.In(ctx))
		if err != nil {
			return err
		}
		if now, err := q.seen(); err != nil || now != seen {
			return errors.Join(err, ErrChanged)
		}
		return nil
	}))
	if errors.Is(err, ErrChanged) { // between the two looks
		if q, err = ask(v); err == nil {
			seen, err = q.seen()
		}
		if err == nil {
			err = v.ask(q, seen, true)
		}
		return false, err
	}
	return err == nil, err
}

// ask shows a question. again: it was answered, but something has changed since.
func (v *Visit) ask(q Question, seen string, again bool) error {
	q.Hidden = append(q.Hidden, [2]string{"seen", seen})
	v.Status = q.Status
	l := q.Layout
	if again {
		l.Message = &Message{Kind: "warn", Text: t("Nothing is done yet: something has changed since you saw this. Look at it again.")}
	}
	l.Data = q
	return v.Show(Shared, "ask", l)
}

// Tell shows a page that says something and leads back.
func (v *Visit) Tell(q Question) error {
	v.Status = q.Status
	l := q.Layout
	l.Data = q
	return v.Show(Shared, "ask", l)
}

// Fingerprint is that of a policy, however the browser ends its lines.
func Fingerprint(text string) string {
	sum := sha256.Sum256([]byte(strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))))
	return hex.EncodeToString(sum[:16])
}
