package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Newest goes through all records of all files backwards, in pages of any size and
// whatever it may read at once, past lines that are no records.
func TestNewest(t *testing.T) {
	dir := t.TempDir()
	var want []string
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	const bad = 3
	for file := range 3 {
		var text strings.Builder
		for i := range 40 {
			n := len(want)
			// Some are longer than others, so that lines meet the edges of blocks.
			fmt.Fprintf(&text, `{"time":%q,"action":"ecr:PutImage","resource":"r%d","decision":"allowed","reason":%q}`+"\n", at.Add(time.Duration(n)*time.Second).Format(time.RFC3339), n, strings.Repeat("x", (n*977)%6000))
			want = append(want, fmt.Sprint("r", n))
			if i == 20 {
				text.WriteString("{torn\n")
			}
		}
		if file == 2 {
			text.WriteString(`{"time":"2026-11-2`) // being written
		}
		name := fmt.Sprintf("202611%02dT004439.123Z-0.jsonl", 23+file)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	slices.Reverse(want)
	walk := func(keep func(Record) bool, limit int, most int64) (got []string, unreadable, pages int) {
		t.Helper()
		for before := (Place{}); ; pages++ {
			look, err := newest(dir, keep, time.Time{}, before, limit, most)
			if err != nil || len(look.Records) > limit || pages > 1000 {
				t.Fatalf("%d records, page %d: %v", len(look.Records), pages, err)
			}
			for _, r := range look.Records {
				got = append(got, r.Resource)
			}
			unreadable += look.Unreadable
			if before = look.Next; before == (Place{}) {
				return got, unreadable, pages
			}
		}
	}
	all := func(Record) bool { return true }
	for _, limit := range []int{1, 7, 120, 1000} {
		for _, most := range []int64{1, 100_000, 1 << 30} {
			got, unreadable, _ := walk(all, limit, most)
			if diff := cmp.Diff(want, got); diff != "" || unreadable != bad {
				t.Errorf("limit %d, %d bytes: %d unreadable\n%s", limit, most, unreadable, diff)
			}
		}
	}
	if got, _, pages := walk(func(r Record) bool { return r.Resource == "r0" }, 10, 1); !slices.Equal(got, []string{"r0"}) || pages < 3 {
		t.Errorf("%q in %d pages: it is looked for in bounded steps", got, pages)
	}
	look, err := newest(filepath.Join(dir, "none"), all, time.Time{}, Place{}, 1, 1)
	if err != nil || len(look.Records) > 0 {
		t.Errorf("%+v %v", look, err)
	}
	if look, err = newest(dir, all, at.Add(100*time.Second), Place{}, 1000, 1<<30); err != nil || len(look.Records) != 21 || look.Next != (Place{}) {
		t.Errorf("since: %d records, next %v, %v", len(look.Records), look.Next, err)
	}
	// The place of a file that went.
	if err := os.Remove(filepath.Join(dir, "20261124T004439.123Z-0.jsonl")); err != nil {
		t.Fatal(err)
	}
	if look, err = newest(dir, all, time.Time{}, Place{"20261124T004439.123Z-0.jsonl", 5}, 1, 1<<20); err != nil || len(look.Records) != 1 || look.Records[0].Resource != "r39" {
		t.Errorf("%+v %v", look, err)
	}
}

// Lines that are too long cannot be read, and the others are, whatever is read at once.
func TestNewestOfLongLines(t *testing.T) {
	dir := t.TempDir()
	line := func(name string) string {
		return fmt.Sprintf(`{"time":"2026-11-23T00:00:00Z","action":"ecr:PutImage","resource":%q,"decision":"allowed"}`+"\n", name)
	}
	long := strings.Repeat("x", 2*maxLine+1) + "\n"
	if err := os.WriteFile(filepath.Join(dir, "20261123T004439.123Z-0.jsonl"), []byte(long+line("a")+long+line("b")), 0o600); err != nil {
		t.Fatal(err)
	}
	look, err := newest(dir, func(Record) bool { return true }, time.Time{}, Place{}, 10, 1<<30)
	if err != nil || len(look.Records) != 2 || look.Records[0].Resource != "b" || look.Records[1].Resource != "a" || look.Unreadable != 2 || look.Next != (Place{}) {
		t.Errorf("%+v, %v", look, err)
	}
}
