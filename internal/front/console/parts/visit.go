// Package parts is what the pages of the console are made of: the visit of a page, its
// frame, tables, texts, questions and errors.
package parts

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// Page is a page of the console.
type Page func(*Visit) error

// RepoPage is one of a repository.
type RepoPage func(*Visit, ecr.Repo) error

// May says which of the actions the caller may do on a repository.
func (v *Visit) May(at ecr.Repo, actions ...access.Action) (map[access.Action]bool, error) {
	return v.Config.Gate.As(v.Req.Principal).Rights(v.R.Context(), at, actions...)
}

// Visit is one request on its way through the console.
type Visit struct {
	Config *Config
	W      http.ResponseWriter
	R      *http.Request
	Req    Request
	Status int // of the answer; 0 for 200
}

// Show writes the page name of a set of pages.
func (v *Visit) Show(of Pages, name string, l Layout) error {
	if l.Heading == "" {
		l.Heading = l.Title
	}
	l.Who, l.Account, l.Registry = v.Who(v.Req.Principal.ARN), string(v.Req.Principal.Account), v.Req.Registry.String()
	l.LogIn = v.Req.Principal.ARN == ""
	l.Nav = v.nav()
	if l.Message == nil {
		l.Message = v.done()
	}
	var b bytes.Buffer
	if err := of()[name].ExecuteTemplate(&b, "layout", l); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	v.W.Header().Set("Content-Type", "text/html; charset=utf-8")
	if v.Status != 0 {
		v.W.WriteHeader(v.Status)
	}
	_, _ = b.WriteTo(v.W) // the browser has gone
	return nil
}

// Who names a principal: one of the caller's account without the account.
func (v *Visit) Who(arn string) string {
	for _, service := range []string{":iam::", ":sts::"} {
		own := service + string(v.Req.Principal.Account) + ":"
		if _, name, ok := strings.Cut(arn, own); ok && strings.HasPrefix(arn, "arn:") {
			return Clean(name)
		}
	}
	return words.Principal(arn)
}

// In is the visit with another context, for what reads in a transaction.
func (v *Visit) In(ctx context.Context) *Visit {
	in := *v
	in.R = v.R.WithContext(ctx)
	return &in
}

// To sends the browser to another page.
func (v *Visit) To(url string) error {
	http.Redirect(v.W, v.R, url, http.StatusSeeOther)
	return nil
}

// Post reports whether the request is to do something.
func (v *Visit) Post() bool { return v.R.Method == http.MethodPost }

// Now is the image time.
func (v *Visit) Now() time.Time { return v.Config.ImageNow().UTC() }

// Query is a parameter of the URL.
func (v *Visit) Query(name string) string { return strings.TrimSpace(v.R.URL.Query().Get(name)) }

// Quoted is s as a word of a shell.
func Quoted(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@,=+%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// AWS is a command of the AWS CLI about the registry.
func (v *Visit) AWS(label, service, text string) Command {
	return Command{label, fmt.Sprintf("aws --endpoint-url %s --region %s %s %s", v.Req.Endpoint, v.Req.Registry.Region, service, text)}
}

// Same are commands that say what a table says: of kontor, and of the AWS CLI where the
// service is not "".
func (v *Visit) Same(kontor, service, aws string) (out []Command) {
	if kontor != "" {
		out = append(out, Command{Label: "kontor", Text: v.Kontor("", kontor).Text})
	}
	if service != "" {
		out = append(out, Command{Label: "aws", Text: v.AWS("", service, aws).Text})
	}
	return out
}

// Kontor is a command of kontor about the registry.
func (v *Visit) Kontor(label, text string) Command {
	return Command{label, fmt.Sprintf("kontor %s --endpoint %s --region %s", text, v.Req.Endpoint, v.Req.Registry.Region)}
}
