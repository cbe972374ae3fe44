package render

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kontor-registry/kontor/internal/report"
)

// Identities writes users or roles as a table.
func Identities(w io.Writer, list []report.Identity) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(t, "NAME\tPOLICIES\tACCESS KEYS"); err != nil {
		return err
	}
	for _, i := range list {
		var keys []string
		for _, k := range i.Keys {
			keys = append(keys, k.ID+map[bool]string{false: " (off)"}[k.Active])
		}
		if _, err := fmt.Fprintf(t, "%s\t%s\t%s\n", clean(i.Name), clean(orDash(i.Policies)), clean(orDash(keys))); err != nil {
			return err
		}
	}
	return t.Flush()
}

func orDash(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}

// Keys writes access keys as a table, or a new one with its secret.
func Keys(w io.Writer, user string, keys []report.IdentityKey) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, k := range keys {
		var err error
		if k.Secret != "" {
			_, err = fmt.Fprintf(t, "Access key of %s. The secret is not shown again.\nAWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n", clean(user), k.ID, k.Secret)
		} else {
			_, err = fmt.Fprintf(t, "%s\t%s\tmade %s\n", k.ID, map[bool]string{true: "active", false: "off"}[k.Active], k.Created.UTC().Format(time.RFC3339))
		}
		if err != nil {
			return err
		}
	}
	return t.Flush()
}
