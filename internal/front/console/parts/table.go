package parts

import (
	"encoding/csv"
	"io"
	"net/url"
	"strings"

	"github.com/kontor-registry/kontor/internal/report/words"
)

// CutAt says that a matrix has more than n rows, which the table does not have.
func (x *Table) CutAt(n int) {
	x.Cut, x.CSVHas = true, FirstRows(n)
	x.Count = t("The first %s", words.Count(n, t("row"), t("rows")))
	last := Row{Cells: make([]Cell, len(x.Columns))}
	last.Cells[0] = Cell{Text: t("There are more rows: these are the first %d.", n), Soft: true}
	x.Rows = append(x.Rows[:n], last)
}

// FirstRows says that a CSV has n rows at most.
func FirstRows(n int) string { return t("the first %d rows", n) }

// Table is a list on a page, as HTML and as CSV.
type Table struct {
	ID      string // in URLs and of the element
	Caption string
	Columns []Column
	Rows    []Row
	// Count says how many rows there are, in words.
	Count string
	// Empty is what an empty list says, Hint what to do, and Command how.
	Empty, Hint, Command string
	// CSV, First and Next are links; "" for none. CSVHas says which rows the CSV has
	// where it may not have all.
	CSV, First, Next, CSVHas string
	// Cut: rows are left out that no page has.
	Cut bool
	// Same are commands that say the same.
	Same []Command
	// Filtered: the page has a form of its own that filters the table. Ordered: it has an
	// order that says something, and no other. Filter is the text that filters it else,
	// Hidden what its form repeats.
	Filtered, Ordered bool
	Filter            string
	Hidden            [][2]string
	// Form is the action of the form around the table whose rows can be chosen; Do is
	// what its button says.
	Form, Do string
}

// Column is a column of a table: Key names it in URLs and CSV.
type Column struct {
	Key, Label string
	Number     bool
	Sort       string // link that sorts by it; "" for none
	Order      string // "ascending", "descending" or "", as aria-sort
}

// Row is its cells, one for each column. The first one names it.
type Row struct {
	Cells []Cell
	// Pick is the value of the row's checkbox, PickLabel what it is called; "" for none.
	Pick, PickLabel string
}

// Cell is one value.
type Cell struct {
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
	Action *Action
	// Raw is the value in CSV; "" for Text.
	Raw string
}

// Action is a form with one button.
type Action struct {
	To     string // URL
	Label  string
	Hidden [][2]string
	Danger bool
}

// Void reports whether there is nothing in the cell.
func (c Cell) Void() bool { return c.Text == "" && c.Sub == "" && c.Action == nil && c.Copy == "" }

func (c Cell) csv() string {
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
func (x *Table) writeCSV(w io.Writer) error {
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
func (x *Table) Filled(i int) bool {
	for _, r := range x.Rows {
		if !r.Cells[i].Void() {
			return true
		}
	}
	return false
}

// With is the URL of u with a parameter set, or without it where value is "".
func With(u *url.URL, pairs ...string) string {
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

// Sorting is how a table can be ordered.
type Sorting struct {
	Keys []string // that there are; the first is the default
	back map[string]bool
	Key  string
	Desc bool
}

// SortOf reads the parameters sort and order. back are the keys that begin with the
// greatest.
func SortOf(q url.Values, keys []string, back ...string) Sorting {
	s := Sorting{Keys: keys, back: map[string]bool{}, Key: keys[0]}
	for _, k := range back {
		s.back[k] = true
	}
	for _, k := range keys {
		if q.Get("sort") == k {
			s.Key = k
		}
	}
	s.Desc = s.back[s.Key]
	switch q.Get("order") {
	case "asc":
		s.Desc = false
	case "desc":
		s.Desc = true
	}
	return s
}

// Fill gives the columns that can be sorted by their links.
func (s Sorting) Fill(u *url.URL, columns []Column) []Column {
	for i := range columns {
		c := &columns[i]
		for _, k := range s.Keys {
			if k != c.Key {
				continue
			}
			desc := s.back[k]
			if k == s.Key {
				desc = !s.Desc
				c.Order = "ascending"
				if s.Desc {
					c.Order = "descending"
				}
			}
			c.Sort = With(u, "sort", k, "order", map[bool]string{true: "desc", false: "asc"}[desc], "after", "")
		}
	}
	return columns
}
