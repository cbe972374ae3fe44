package meta_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// numbers lists 1 to n, and fails at the page after broken.
func numbers(n, broken int, pages *int) func(after, limit int) ([]int, error) {
	return func(after, limit int) (list []int, err error) {
		*pages++
		if after == broken {
			return nil, errBroken
		}
		for i := after + 1; i <= n && len(list) < limit; i++ {
			list = append(list, i)
		}
		return list, nil
	}
}

var errBroken = errors.New("broken")

func same(v int) int { return v }

func TestPages(t *testing.T) {
	for n := range 8 {
		for size := 1; size < 10; size++ {
			t.Run(fmt.Sprintf("%d in pages of %d", n, size), func(t *testing.T) {
				var got []int
				pages := 0
				for v, err := range meta.Pages(2, size, numbers(n, -1, &pages), same) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, v)
				}
				var want []int
				for v := 3; v <= n; v++ {
					want = append(want, v)
				}
				if !slices.Equal(got, want) || pages != len(want)/size+1 {
					t.Errorf("%v in %d pages", got, pages)
				}
			})
		}
	}
}

func TestPagesEndWithAnError(t *testing.T) {
	var got []int
	var failed error
	pages := 0
	for v, err := range meta.Pages(0, 2, numbers(9, 4, &pages), same) {
		if failed = err; err == nil {
			got = append(got, v)
		}
	}
	if !slices.Equal(got, []int{1, 2, 3, 4}) || !errors.Is(failed, errBroken) {
		t.Errorf("%v, then %v", got, failed)
	}
}

func TestTake(t *testing.T) {
	pages := 0
	even := func(v *int) (bool, error) {
		*v *= 10
		return *v%20 == 0, nil
	}
	for _, tt := range []struct {
		name  string
		limit int
		want  []int
		more  bool
	}{
		{"fewer", 3, []int{20, 40, 60}, true},
		{"exactly all", 4, []int{20, 40, 60, 80}, false},
		{"room for more", 9, []int{20, 40, 60, 80}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, more, err := meta.Take(meta.Pages(0, 2, numbers(9, -1, &pages), same), tt.limit, even)
			if err != nil || more != tt.more || !slices.Equal(got, tt.want) {
				t.Errorf("%v, more %v, %v", got, more, err)
			}
		})
	}
	t.Run("stops reading", func(t *testing.T) {
		pages = 0
		if _, more, err := meta.Take(meta.Pages(0, 2, numbers(99, -1, &pages), same), 3, even); err != nil || !more || pages != 4 {
			t.Errorf("%d pages, more %v, %v", pages, more, err)
		}
	})
	for name, all := range map[string]func() ([]int, bool, error){
		"the list fails": func() ([]int, bool, error) { return meta.Take(meta.Pages(0, 2, numbers(9, 4, &pages), same), 9, even) },
		"keep fails": func() ([]int, bool, error) {
			return meta.Take(meta.Pages(0, 2, numbers(9, -1, &pages), same), 9, func(*int) (bool, error) { return false, errBroken })
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _, err := all(); got != nil || !errors.Is(err, errBroken) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
