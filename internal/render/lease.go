package render

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// CollectedLeases writes what a collector found.
func CollectedLeases(w io.Writer, r report.CollectedLeases, o Options) error {
	p := newPrinter(o)
	if r.Recorded == nil {
		p.leases(r.Leases, false)
		p.linef(bold, "%s found, nothing recorded.", words.Count(len(r.Leases), "lease", "leases"))
	} else {
		c := r.Recorded.Collector
		p.linef(bold, "Recorded %s of collector %s; it is expected again by %s.", words.Count(r.Recorded.Leases, "lease", "leases"), clean(c.Name), words.Moment(c.ExpectedAt))
	}
	if r.Objects > 0 || r.EndedPods > 0 {
		p.linef(plain, "Read %s; %s ended and use no images.", words.Count(r.Objects, "object with images", "objects with images"),
			words.Count(r.EndedPods, "pod has", "pods have"))
	}
	if len(r.Unknown) > 0 {
		var kinds []string
		for _, k := range slices.Sorted(maps.Keys(r.Unknown)) {
			kinds = append(kinds, fmt.Sprintf("%s %d", clean(k), r.Unknown[k]))
		}
		p.linef(faint, "Without images: %s.", strings.Join(kinds, ", "))
	}
	if len(r.Others) > 0 {
		var hosts []string
		for _, h := range r.Others {
			hosts = append(hosts, fmt.Sprintf("%s %d", clean(h.Host), h.Uses))
		}
		p.linef(plain, "Of other registries, and not recorded: %s. If one of them is this registry under another name, give --host.", strings.Join(hosts, ", "))
	}
	return p.flush(w)
}

// leaseName is the image of a lease.
func leaseName(l admin.Lease) string {
	name := clean(l.RepositoryName)
	if l.ImageTag != "" {
		name += ":" + clean(l.ImageTag)
	}
	if l.ImageDigest != "" {
		name += "@" + clean(l.ImageDigest)
	}
	return name
}

// leases writes a line for each image, and one for each of its users.
func (p *printer) leases(list []admin.Lease, collectors bool) {
	last := ""
	for _, l := range list {
		if name := leaseName(l); name != last {
			p.linef(plain, "%s", name)
			last = name
		}
		if collectors {
			p.linef(faint, "    %s: %s", clean(l.Collector), clean(l.User))
		} else {
			p.linef(faint, "    %s", clean(l.User))
		}
	}
}

// Leases writes the leases of a registry and who reported them.
func Leases(w io.Writer, r admin.ListLeasesResponse, o Options) error {
	p := newPrinter(o)
	p.leases(r.Leases, true)
	for _, c := range r.Collectors {
		if c.Silent {
			p.linef(yellow, "Collector %s is overdue: it last reported on %s and was expected by %s. Its leases stay in force until it reports again or is removed: kontor lease forget %s.",
				clean(c.Name), words.Moment(c.ReportedAt), words.Moment(c.ExpectedAt), clean(c.Name))
			continue
		}
		p.linef(plain, "Collector %s reported on %s and is expected again by %s.", clean(c.Name), words.Moment(c.ReportedAt), words.Moment(c.ExpectedAt))
	}
	if len(r.Collectors) == 0 {
		p.linef(plain, "No images in use have been reported.")
	}
	return p.flush(w)
}

// Forgotten writes that a collector was removed.
func Forgotten(w io.Writer, r admin.ForgetLeasesResponse, o Options) error {
	p := newPrinter(o)
	p.linef(plain, "Removed collector %s and its %s. Rules may now expire images that only it kept.", clean(r.Collector), words.Count(r.Leases, "lease", "leases"))
	return p.flush(w)
}
