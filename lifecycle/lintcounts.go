package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// lately is how long ago a pull says that an image is in use.
const lately = 7 * 24 * time.Hour

// count looks at the images that a count rule counts.
func (l *linter) count(id int, now time.Time) {
	r := &l.rules[id]
	if !r.counts {
		return
	}
	// of what the rule counts, the youngest first
	var counted, used []int
	for _, p := range l.order {
		i := int(p.image)
		if slices.Contains(l.matched[i], int32(id)) && (l.opts.CountDependents || !l.graph.dependent(l.board, i)) {
			counted = append(counted, i)
		}
	}
	for _, i := range counted {
		m := &l.images[i]
		pulled := !m.LastPulledAt.IsZero() && now.Sub(m.LastPulledAt) < lately
		if l.takes(id, i) && r.Action.Type == Expire && (pulled || l.opts.InUse[m.Digest] != "") {
			used = append(used, i)
		}
	}
	if len(used) > 0 {
		l.add(LintCountInUse, Warning, id, jsonpos.Path{"selection", "countNumber"}, used,
			fmt.Sprintf("rule %d expires %s in use or pulled within the last 7 days: a count does not look at pulls", r.Priority, number(len(used))), remedyInUse)
	}
	l.usedUp(id, counted)
	l.countsOthers(id, counted)
}

// takes reports whether rule id acts on image i, and nothing guards it.
func (l *linter) takes(id, i int) bool {
	o := &l.out[i]
	return o.Action != Keep && o.Rule == l.rules[id].Priority && o.With == ""
}

// displaced are the images that rule id takes and would keep if it counted only
// those of counted that count is true of; and how many others are among those
// that it keeps.
func (l *linter) displaced(id int, counted []int, count func(i int) bool) (lost, others []int) {
	limit, rank := l.rules[id].Selection.CountNumber, 0
	for k, i := range counted {
		switch {
		case !count(i) && k < limit:
			others = append(others, i)
		case !count(i):
		default:
			if rank++; rank <= limit && l.takes(id, i) {
				lost = append(lost, i)
			}
		}
	}
	return lost, others
}

// usedUp finds counts that images of higher rules use up.
func (l *linter) usedUp(id int, counted []int) {
	r := &l.rules[id]
	limit := r.Selection.CountNumber
	lost, others := l.displaced(id, counted, func(i int) bool { return l.matched[i][0] == int32(id) })
	if len(lost) == 0 || len(others) == 0 {
		return
	}
	byOwner := map[int]int{}
	for _, i := range others {
		byOwner[l.rules[l.matched[i][0]].Priority]++
	}
	var owners []string
	for _, priority := range slices.Sorted(maps.Keys(byOwner)) {
		owners = append(owners, fmt.Sprintf("%d to rule %d", byOwner[priority], priority))
	}
	severity, kept := Note, limit-len(others)
	if 2*kept <= limit {
		severity = Warning
	}
	l.add(LintUsedUp, severity, id, jsonpos.Path{"selection", "countNumber"}, lost,
		fmt.Sprintf("rule %d keeps %d of the images that belong to it, not %d: of the newest %d that it counts, %s belong", r.Priority, kept, limit, limit, and(owners)),
		fmt.Sprintf("choose a countNumber of %d or more, or tags that no rule above selects", limit+len(others)))
}

// The kinds of artifacts that are not images.
const (
	kindSignature = "signatures and attestations"
	kindChart     = "charts"
	kindCache     = "build caches"
	kindPart      = "parts of images for several platforms"
	kindArtifact  = "other artifacts"
)

// kind is what an image is, "" for an image.
func (l *linter) kind(i int) string {
	m := &l.images[i]
	for _, tag := range m.Tags {
		words := strings.FieldsFunc(strings.ToLower(tag), func(c rune) bool { return c == '-' || c == '_' || c == '.' })
		switch {
		case strings.HasPrefix(tag, "sha256-"):
			return kindSignature
		case slices.Contains(words, "cache") || slices.Contains(words, "buildcache"):
			return kindCache
		}
	}
	switch t := strings.ToLower(m.ArtifactType); {
	case strings.Contains(t, "helm"):
		return kindChart
	case strings.Contains(t, "cache"):
		return kindCache
	case strings.Contains(t, "sig") || strings.Contains(t, "attestation") || strings.Contains(t, "in-toto"):
		return kindSignature
	case m.Subject != "":
		return kindSignature
	case l.graph != nil && len(l.graph.indexes(i)) > 0:
		return kindPart
	case t != "" && !slices.Contains(imageTypes, t):
		return kindArtifact
	}
	return ""
}

// imageTypes are the artifact types of images.
var imageTypes = []string{
	"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json",
	"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
	"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.empty.v1+json",
}

// countsOthers finds counts in which other artifacts take the places of
// images.
func (l *linter) countsOthers(id int, counted []int) {
	r := &l.rules[id]
	kinds := map[int]string{}
	for _, i := range counted {
		kinds[i] = l.kind(i)
	}
	lost, others := l.displaced(id, counted, func(i int) bool { return kinds[i] == "" })
	if len(lost) == 0 || len(others) == 0 {
		return
	}
	n := map[string]int{}
	for _, i := range others {
		n[kinds[i]]++
	}
	var names []string
	for _, kind := range slices.Sorted(maps.Keys(n)) {
		names = append(names, fmt.Sprintf("%d %s", n[kind], kind))
	}
	l.add(LintCountsOthers, Warning, id, jsonpos.Path{"selection", "countNumber"}, lost,
		fmt.Sprintf("rule %d keeps %d images and counts %s among them", r.Priority, r.Selection.CountNumber, and(names)),
		"count the tags of releases alone, store the others in a separate repository, or choose a countNumber that has room for them")
}

// and is "a", "a and b" or "a, b and c".
func and(list []string) string {
	if last := len(list) - 1; last > 0 {
		return strings.Join(list[:last], ", ") + " and " + list[last]
	}
	return strings.Join(list, "")
}

// empties finds policies by which nothing is left of the images, some time after
// the last push.
func (l *linter) empties(now time.Time) {
	if len(l.rules) == 0 {
		return
	}
	// what is pulled stays for a rule that counts from the last pull
	ages := func(id int) bool {
		r := &l.rules[id]
		return r.ages && r.Selection.CountType == SinceImagePushed && r.Action.Type == Expire
	}
	last, days := -1, 0 // the rule that takes the last image
	goes := func(id int) {
		if n := l.rules[id].Selection.CountNumber; n > days {
			last, days = id, n
		}
	}
	var used []int
	newest := -1
	for i := range l.images {
		m := &l.images[i]
		if l.opts.class(m.Status) != Standard || l.graph.dependent(l.board, i) {
			continue
		}
		if len(l.matched[i]) == 0 || !ages(int(l.matched[i][0])) || l.held[m.Digest] != "" || m.age(l.rules[l.matched[i][0]].Selection.CountType).IsZero() {
			return
		}
		goes(int(l.matched[i][0]))
		if newest < 0 || l.images[newest].pushed().Before(m.pushed()) {
			newest = i
		}
		if !m.LastPulledAt.IsZero() && now.Sub(m.LastPulledAt) < lately || l.opts.InUse[m.Digest] != "" {
			used = append(used, i)
		}
	}
	// To expire everything can be what is wanted: a warning needs images in use.
	severity := Note
	switch {
	case newest < 0 && !l.emptiesAll(ages, goes):
		return
	case len(used) > 0:
		severity = Warning
	case newest >= 0:
		used = []int{newest}
	}
	l.add(LintEmpties, severity, last, jsonpos.Path{"selection"}, used,
		fmt.Sprintf("no rule keeps the newest images: %d days after the last push, rule %d has expired all of them", days, l.rules[last].Priority),
		"let a rule count (imageCountMoreThan), or keep the tags in use with a rule above it")
}

// emptiesAll reports whether, whatever the images, the rules expire all of
// them by their age.
func (l *linter) emptiesAll(ages func(id int) bool, goes func(id int)) bool {
	everything := false
	for id := range l.rules {
		s := l.rules[id].Selection
		switch {
		case s.Class() != Standard:
		case !ages(id):
			return false
		default:
			everything = everything || s.TagStatus == Any
			goes(id)
		}
	}
	return everything
}
