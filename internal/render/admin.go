package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// imageName is an image as the admin API names it.
func imageName(repository, digest string, tags []string) string {
	name := clean(repository)
	if digest != "" {
		name += "@" + clean(words.Digest(digest))
	}
	if len(tags) > 0 {
		name += " (" + clean(strings.Join(tags, ", ")) + ")"
	}
	return name
}

// because is why something went: by which rule, and who said so.
func because(reason, actor string, rule int) string {
	s := clean(reason)
	if rule != 0 && !strings.Contains(s, "rule") {
		s = fmt.Sprintf("rule %d: %s", rule, s)
	}
	if actor != "" {
		s += "; by " + clean(actor)
	}
	return s
}

// journalWords say what an entry of the journal is about.
var journalWords = map[string]string{
	"delete-image": "deleted", "delete-tag": "lost its tag", "move-tag": "lost its tag to another image", "restore-image": "restored",
	"purge-image": "purged", "delete-policy": "its policy deleted", "delete-lifecycle-policy": "its lifecycle policy deleted",
	"delete-repository": "the repository deleted", "delete-blob": "a blob deleted",
}

// Journal writes entries of the journal, a line and its reason each.
func Journal(w io.Writer, r report.Journal, o Options) error {
	p := newPrinter(o)
	for _, e := range r.Entries {
		p.journalEntry("", e)
	}
	if len(r.Entries) == 0 {
		p.linef(plain, "The journal has no matching entries.")
	}
	return p.flush(w)
}

func (p *printer) journalEntry(indent string, e admin.JournalEntry) {
	what := journalWords[e.Operation]
	if what == "" {
		what = clean(e.Operation)
	}
	size := ""
	if e.SizeBytes > 0 {
		size = ", " + words.Bytes(e.SizeBytes)
	}
	p.linef(plain, "%s%s  %s: %s%s", indent, words.Moment(e.At), imageName(e.RepositoryName, e.ImageDigest, e.ImageTags), what, size)
	p.linef(faint, "%s    %s", indent, because(e.Reason, e.Actor, e.RulePriority))
}

// Activity writes who pulled what, an image with its pullers by day.
func Activity(w io.Writer, r report.Activity, o Options) error {
	p := newPrinter(o)
	day := ""
	for i, e := range r.Entries {
		if e.Day != day {
			day = e.Day
			p.linef(bold, "%s", clean(day))
		}
		if i == 0 || r.Entries[i-1].Day != e.Day || r.Entries[i-1].RepositoryName != e.RepositoryName || r.Entries[i-1].ImageDigest != e.ImageDigest {
			var tags []string
			if e.ImageTag != "" {
				tags = []string{e.ImageTag}
			}
			p.linef(plain, "  %s", imageName(e.RepositoryName, e.ImageDigest, tags))
		}
		who := words.Principal(e.Principal)
		if e.PrincipalDeleted {
			who += " (deleted)"
		}
		p.linef(plain, "    %s by %s, last at %s", words.Count(int(e.Pulls), "pull", "pulls"), who, e.LastPulledAt.UTC().Format("15:04"))
	}
	switch {
	case r.KeptDays == 0:
		p.linef(faint, "This server does not record who pulls images: it runs with --pull-activity-days 0.")
	case len(r.Entries) == 0:
		p.linef(plain, "No pulls match. Pulls are kept for %s.", words.Count(r.KeptDays, "day", "days"))
	default:
		p.linef(bold, "%s", words.Count(int(r.Pulls()), "pull", "pulls"))
	}
	return p.flush(w)
}

// Bin writes what the recycle bin holds.
func Bin(w io.Writer, r report.Bin, o Options) error {
	p := newPrinter(o)
	for _, e := range r.Entries {
		p.linef(plain, "%s@%s", clean(e.RepositoryName), clean(e.ImageDigest))
		facts := []string{words.Bytes(e.SizeBytes), "deleted " + words.Moment(e.DeletedAt), "restorable until " + words.Moment(e.ExpiresAt)}
		if len(e.ImageTags) > 0 {
			facts = append([]string{"tags " + clean(strings.Join(e.ImageTags, ", "))}, facts...)
		}
		if e.Subject != "" {
			facts = append(facts, "refers to "+clean(words.Digest(e.Subject)))
		}
		p.linef(plain, "    %s", strings.Join(facts, "; "))
		p.linef(faint, "    %s", because(e.Reason, e.Actor, e.RulePriority))
	}
	if total := r.Total(); total.Images == 0 {
		p.linef(plain, "The recycle bin is empty.")
	} else {
		p.linef(bold, "%s, %s. To restore one: kontor admin restore REPOSITORY@DIGEST", words.Count(total.Images, "image", "images"), words.Bytes(total.Bytes))
	}
	return p.flush(w)
}

// Restored writes what came back, and what did not.
func Restored(w io.Writer, r admin.RestoreImageResponse, o Options) error {
	p := newPrinter(o)
	for i, m := range r.Images {
		name := imageName(r.RepositoryName, m.ImageDigest, m.ImageTags)
		if i == 0 {
			p.linef(green, "Restored %s.", name)
		} else {
			p.linef(green, "Restored %s, which belongs to it.", name)
		}
		for _, t := range m.TakenTags {
			p.linef(yellow, "    The tag %s stays on image %s, which has it now.", clean(t.ImageTag), clean(words.Digest(t.ImageDigest)))
		}
		if m.RulePriority != 0 {
			p.linef(yellow, "    Lifecycle rule %d expired it. Its age counts from now on: keep it with a rule or a lease before that rule expires it again.", m.RulePriority)
		}
	}
	for _, d := range r.MissingDigests {
		p.linef(red, "Image %s, which an index lists, no longer exists.", clean(d))
	}
	return p.flush(w)
}

// Purged writes what went for good.
func Purged(w io.Writer, r admin.PurgeImageResponse, o Options) error {
	p := newPrinter(o)
	var from []string
	if r.Live {
		from = append(from, "the repository")
	}
	if r.BinEntries > 0 {
		from = append(from, "the recycle bin")
	}
	p.linef(plain, "Purged %s from %s: %s that nothing else used, %s.", imageName(r.RepositoryName, r.ImageDigest, r.ImageTags),
		strings.Join(from, " and "), words.Count(r.Blobs, "blob", "blobs"), words.Bytes(r.SizeBytes))
	return p.flush(w)
}

// Collected writes what a collection removed.
func Collected(w io.Writer, r admin.CollectGarbageResponse, o Options) error {
	p := newPrinter(o)
	p.linef(plain, "Collected %s, %s; %s of the recycle bin had expired, %s had no image left.", words.Count(r.Blobs, "blob", "blobs"), words.Bytes(r.SizeBytes),
		words.Count(r.BinEntries, "entry", "entries"), words.Count(r.Links, "link to a blob", "links to blobs"))
	return p.flush(w)
}

// Jobs writes the background jobs of a server, with what they did last.
func Jobs(w io.Writer, r admin.ListJobsResponse, o Options) error {
	p := newPrinter(o)
	for _, j := range r.Jobs {
		state := "waits"
		switch {
		case j.Running:
			state = fmt.Sprintf("runs in %s since %s, %d removed so far", clean(j.Process), words.Moment(j.BeganAt), j.Progress)
		case j.Last == nil || j.Last.EndedAt.Before(j.BeganAt):
			state = fmt.Sprintf("was begun by %s at %s and did not end; another process takes over", clean(j.Process), words.Moment(j.BeganAt))
		}
		p.linef(bold, "%s: %s", clean(j.Name), state)
		if last := j.Last; last != nil {
			p.linef(plain, "  last run: ended %s, %d removed, %s", words.Moment(last.EndedAt), last.Removed, words.Bytes(last.SizeBytes))
			if last.Error != "" {
				p.linef(plain, "  failed: %s", clean(last.Error))
			}
		}
	}
	if len(r.Jobs) == 0 {
		p.linef(plain, "No job was begun yet.")
	}
	return p.flush(w)
}

// Usage writes what the images of repositories take.
func Usage(w io.Writer, u report.Usage, o Options) error {
	p := newPrinter(o)
	for _, r := range u.Repositories {
		p.linef(bold, "%s: %s, %s in layers, %s of it in no other repository", clean(r.RepositoryName), words.Count(r.Images, "image", "images"),
			words.Bytes(r.LayerBytes), words.Bytes(r.OwnBytes))
		var rows [][2]string
		for _, t := range r.Tags {
			rows = append(rows, [2]string{clean(t.ImageTag), fmt.Sprintf("%s, %s of it in no other image", words.Bytes(t.LayerBytes), words.Bytes(t.OwnBytes))})
		}
		for _, line := range align("  ", rows) {
			p.linef(plain, "%s", line)
		}
		for _, x := range r.Rules {
			p.linef(plain, "  rule %d would expire %s now and free %s", x.RulePriority, words.Count(x.Images, "image", "images"), words.Bytes(x.FreedBytes))
		}
	}
	switch n := len(u.Repositories); n {
	case 0:
		p.linef(plain, "There are no repositories.")
	case 1:
	default:
		p.linef(plain, "%s, %s in layers if none is shared.", words.Count(n, "repository", "repositories"), words.Bytes(u.LayerBytes()))
	}
	return p.flush(w)
}
