package parts

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// CSV completes the table that a page is about, and writes it as CSV where the URL asks for
// it; wrote says whether. A table that is whole can be filtered and sorted by any column;
// one that goes on on other pages as its page does it.
func (v *Visit) CSV(name string, x *Table) (wrote bool, err error) {
	x.CSV = With(v.R.URL, "format", "csv", "table", "", "after", "", "from", "", "done", "") // from the beginning, where pages go on
	if v.Query("after") != "" || v.Query("from") != "" {
		x.First = With(v.R.URL, "after", "", "from", "", "done", "")
	}
	if x.Next == "" && x.First == "" && !x.Cut {
		x.CSVHas = "" // it has all
		v.arrange(x)
	}
	if v.Query("format") != "csv" || v.Query("table") != "" && v.Query("table") != x.ID {
		return false, nil
	}
	return true, v.writeCSV(name, x)
}

// Part is CSV for another table of a page, which is whole.
func (v *Visit) Part(name string, x *Table) (wrote bool, err error) {
	if x == nil {
		return false, nil
	}
	x.CSV = With(v.R.URL, "format", "csv", "table", x.ID, "done", "")
	v.arrange(x)
	if v.Query("format") != "csv" || v.Query("table") != x.ID {
		return false, nil
	}
	return true, v.writeCSV(name+"-"+x.ID, x)
}

// Parts is Part for several tables; those that are nil are left out.
func (v *Visit) Parts(name string, all ...any) (wrote bool, err error) {
	for _, x := range all {
		if x, ok := x.(*Table); ok {
			if wrote, err := v.Part(name, x); wrote || err != nil {
				return wrote, err
			}
		}
	}
	return false, nil
}

func (v *Visit) writeCSV(name string, x *Table) error {
	v.W.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '"' || r < ' ' {
			return '-'
		}
		return r
	}, name)
	switch {
	case x.Cut: // the last row says so
		name += "-first-" + Count(len(x.Rows)-1)
	case x.Next != "":
		name += "-first-" + Count(len(x.Rows))
	}
	v.W.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	return x.writeCSV(v.W)
}

// arrange filters and sorts the rows of a table that is whole, as the URL says.
func (v *Visit) arrange(x *Table) {
	sort, order, filter := "sort-"+x.ID, "order-"+x.ID, "filter-"+x.ID
	x.Filter = v.Query(filter)
	if q := strings.ToLower(x.Filter); q != "" && !x.Filtered {
		all := len(x.Rows)
		x.Rows = slices.DeleteFunc(x.Rows, func(r Row) bool {
			return !slices.ContainsFunc(r.Cells, func(c Cell) bool { return strings.Contains(strings.ToLower(c.Text+"\n"+c.Sub+"\n"+c.Raw), q) })
		})
		x.Count = t("%d of %d rows", len(x.Rows), all)
		if len(x.Rows) == 0 {
			x.Empty, x.Hint, x.Command = t("No row has %s.", Clean(x.Filter)), t("Shorten the filter, or remove it."), ""
		}
	}
	q := v.R.URL.Query()
	q.Del(filter)
	for _, k := range []string{"done", "format", "table", "after", "from"} {
		q.Del(k)
	}
	x.Hidden = nil
	for _, k := range slices.Sorted(maps.Keys(q)) {
		x.Hidden = append(x.Hidden, [2]string{k, q.Get(k)})
	}
	if x.Ordered || slices.ContainsFunc(x.Columns, func(c Column) bool { return c.Sort != "" }) {
		return // the page sorts it
	}
	for i := range x.Columns {
		c := &x.Columns[i]
		if c.Label == "" {
			continue
		}
		desc := v.Query(order) == "desc"
		if c.Key == v.Query(sort) {
			slices.SortStableFunc(x.Rows, func(a, b Row) int {
				n := compareCells(a.Cells[i], b.Cells[i])
				if desc {
					return -n
				}
				return n
			})
			c.Order = map[bool]string{true: "descending", false: "ascending"}[desc]
			desc = !desc
		} else {
			desc = c.Number
		}
		c.Sort = With(v.R.URL, sort, c.Key, order, map[bool]string{true: "desc", false: "asc"}[desc], "done", "")
	}
}

// compareCells compares values of a column: numbers as such, times by when they are.
func compareCells(a, b Cell) int {
	x, y := a.value(), b.value()
	m, err := strconv.ParseFloat(x, 64)
	n, err2 := strconv.ParseFloat(y, 64)
	if err == nil && err2 == nil {
		return cmp.Compare(m, n)
	}
	if (err == nil) != (err2 == nil) { // what has no number comes last
		return map[bool]int{true: -1, false: 1}[err == nil]
	}
	return cmp.Compare(strings.ToLower(x), strings.ToLower(y))
}

func (c Cell) value() string {
	switch {
	case c.Time != "":
		return c.Time
	case c.Raw != "":
		return c.Raw
	}
	return c.Text
}
