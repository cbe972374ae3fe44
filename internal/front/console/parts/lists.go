package parts

import (
	"strconv"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// KeepingPage is how many rows a page of a list has.
const KeepingPage = 50

// ListCSV is how many rows the CSV of a list has that is read page by page.
const ListCSV = 1000

// Limit is how many rows the page or the CSV has.
func (v *Visit) Limit(n int) int {
	if v.Query("format") == "csv" {
		return ListCSV
	}
	return n
}

// Named is the repository that the parameter repository names, "" for all.
func (v *Visit) Named() (ecr.RepositoryName, error) {
	if v.Query("repository") == "" {
		return "", nil
	}
	return ecr.ParseRepositoryName(v.Query("repository"))
}

// After is the number of the row before the first one.
func (v *Visit) After() (int64, error) {
	if v.Query("after") == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v.Query("after"), 10, 64)
	if err != nil {
		return 0, NoPage()
	}
	return n, nil
}

// OfOne is the data of a list that can be about one repository.
func (v *Visit) OfOne(x *Table, to string, name ecr.RepositoryName) map[string]any {
	return map[string]any{"Table": x, "To": to, "Repository": string(name)}
}
