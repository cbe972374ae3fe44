package console

import (
	"encoding/csv"
	"io"
	"net/url"
	"strings"
)

// table is a list on a page, as HTML and as CSV.
type table struct {
	ID      string // in URLs and of the element
	Caption string
	Columns []column
	Rows    []row
	// Count says how many rows there are, in words.
	Count string
	// Empty is what an empty list says, Hint what to do, and Command how.
	Empty, Hint, Command string
	// CSV, First and Next are links; "" for none. CSVHas says which rows the CSV has
	// where it may not have all.
	CSV, First, Next, CSVHas string
	// Cut: rows are left out that no page has.
	Cut bool
	// Form is the action of the form around the table whose rows can be chosen; Do is
	// what its button says.
	Form, Do string
}

type column struct {
	Key, Label string
	Number     bool
	Sort       string // link that sorts by it; "" for none
	Order      string // "ascending", "descending" or "", as aria-sort
}

// row is its cells, one for each column. The first one names it.
type row struct {
	Cells []cell
	// Pick is the value of the row's checkbox, PickLabel what it is called; "" for none.
	Pick, PickLabel string
}

// cell is one value.
type cell struct {
	Text            string
	Sub             string // a second line
	Link            string
	Kind            string // of a badge: keep, soon, go, held or plain; "" for none
	Soft            bool
	Mono            bool
	Time            string // RFC 3339, with Full for people
	Full            string
	Copy, CopyLabel string // what a button copies, and says; "" for Copy
	// Action is a button that posts.
	Action *action
	// Raw is the value in CSV; "" for Text.
	Raw string
}

// action is a form with one button.
type action struct {
	To     string // URL
	Label  string
	Hidden [][2]string
	Danger bool
}

// Void reports whether there is nothing in the cell.
func (c cell) Void() bool { return c.Text == "" && c.Sub == "" && c.Action == nil && c.Copy == "" }

func (c cell) csv() string {
	s := c.Text
	switch {
	case c.Raw != "":
		s = c.Raw
	case c.Time != "":
		s = c.Time
	case c.Sub != "" && c.Text != "":
		s += "; " + c.Sub
	}
	// A spreadsheet must not take what others wrote for a formula (OWASP, "CSV
	// Injection").
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		s = "'" + s
	}
	return s
}

// writeCSV writes the rows, after a line with the names of columns.
func (x *table) writeCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	var head []string
	for _, c := range x.Columns {
		if c.Label != "" {
			head = append(head, c.Key)
		}
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for _, r := range x.Rows {
		var line []string
		for i, c := range r.Cells {
			if x.Columns[i].Label != "" {
				line = append(line, c.csv())
			}
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Filled reports whether the column at i has something in some row.
func (x *table) Filled(i int) bool {
	for _, r := range x.Rows {
		if !r.Cells[i].Void() {
			return true
		}
	}
	return false
}

// with is the URL of u with a parameter set, or without it where value is "".
func with(u *url.URL, pairs ...string) string {
	q := u.Query()
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	to := url.URL{Path: u.Path, RawQuery: q.Encode()}
	return to.String()
}

// sorting is how a table can be ordered.
type sorting struct {
	keys []string // that there are; the first is the default
	back map[string]bool
	key  string
	desc bool
}

// sortOf reads the parameters sort and order. back are the keys that begin with the
// greatest.
func sortOf(q url.Values, keys []string, back ...string) sorting {
	s := sorting{keys: keys, back: map[string]bool{}, key: keys[0]}
	for _, k := range back {
		s.back[k] = true
	}
	for _, k := range keys {
		if q.Get("sort") == k {
			s.key = k
		}
	}
	s.desc = s.back[s.key]
	switch q.Get("order") {
	case "asc":
		s.desc = false
	case "desc":
		s.desc = true
	}
	return s
}

// fill gives the columns that can be sorted by their links.
func (s sorting) fill(u *url.URL, columns []column) []column {
	for i := range columns {
		c := &columns[i]
		for _, k := range s.keys {
			if k != c.Key {
				continue
			}
			desc := s.back[k]
			if k == s.key {
				desc = !s.desc
				c.Order = "ascending"
				if s.desc {
					c.Order = "descending"
				}
			}
			c.Sort = with(u, "sort", k, "order", map[bool]string{true: "desc", false: "asc"}[desc], "after", "")
		}
	}
	return columns
}
