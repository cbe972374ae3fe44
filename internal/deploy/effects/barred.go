package effects

import (
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Image is one that is pulled, and what policies may ask of it.
type Image struct {
	Name     string   // a tag
	SignedBy []string // in byte order
	Severity ecr.Severity
}

// AsksOfImages reports whether policies of c's repository ask, after it, whose signatures
// images have, and what scans found.
func AsksOfImages(c plan.Change) (signatures, scans bool) {
	if c.Op == plan.OpDelete || c.Before == nil || c.After == nil {
		return false, false // there is nothing to pull before, or nothing after
	}
	text := strings.ToLower(c.After.Policy)
	return strings.Contains(text, "kontor:signedby"), strings.Contains(text, "kontor:maxseverity")
}

// OfPulls finds which of images someone may pull before c and not after it. Who loses pull
// of all images by c is not named: that is a change of rights.
func OfPulls(p *proof.Prover, in ecr.RegistryID, c plan.Change, tags map[string]string, images []Image) (*plan.Barred, error) {
	before, after := side(in, c.Repository, c.Before, tags), side(in, c.Repository, c.After, tags)
	out := &plan.Barred{Looked: len(images)}
	whole, err := losers(p, before, after)
	if err != nil {
		return nil, err
	}
	barred := map[string][]string{} // by what is known of an image, who loses it
	byPrincipal := map[string][]string{}
	for _, i := range images {
		known := strings.Join(i.SignedBy, " ") + "\x00" + string(i.Severity)
		who, ok := barred[known]
		if !ok {
			if who, err = losers(p.SignedBy(i.SignedBy...).MaxSeverity(i.Severity), before, after); err != nil {
				return nil, err
			}
			barred[known] = who
		}
		for _, principal := range who {
			if !slices.Contains(whole, principal) {
				byPrincipal[principal] = append(byPrincipal[principal], i.Name)
			}
		}
	}
	for principal, names := range byPrincipal {
		out.Pulls = append(out.Pulls, plan.BarredPulls{Principal: principal, Images: names})
	}
	slices.SortFunc(out.Pulls, func(a, b plan.BarredPulls) int { return strings.Compare(a.Principal, b.Principal) })
	return out, nil
}

// losers may pull before and not after.
func losers(p *proof.Prover, before, after proof.Repository) (who []string, err error) {
	compared, err := p.Compare(before, after)
	for _, d := range compared.Differences {
		could := d.Before == proof.Allowed || d.Before == proof.Unseen
		cannot := d.After == proof.Denied || d.After == proof.Partly
		if d.Right == proof.Pull && could && cannot {
			who = append(who, d.Principal)
		}
	}
	return who, err
}
