package promote

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/signing/trust"
)

// checkSigners looks whose signatures the image has: those of signers that the promoter
// knows are verified here, for others the registry of the image is asked.
func (x *planner) checkSigners(ctx context.Context, gate judgement) error {
	var asked []string
	for _, name := range x.request.Require.SignedBy {
		signer := x.cfg.Signers[name]
		if signer == nil {
			asked = append(asked, name)
			continue
		}
		if !signer.For(x.from.name) {
			gate("signed_by", false, "%s: the signer is not trusted in the repository %s: see repositories of signers", name, x.from.name)
			continue
		}
		why, err := x.refusedBy(ctx, signer)
		if err != nil {
			return err
		}
		x.signed(gate, name, why, "verified here")
	}
	if len(asked) == 0 {
		return nil
	}
	if x.from.registry.API == nil {
		gate("signed_by", false, "%s: registry %s does not tell who signed: put the signer under signers in the file, and its signatures are verified here", list(asked), x.from.registry.Name)
		return nil
	}
	d := x.image.Digest
	if x.chosen.Body != nil { // it is not there; what it was made of is
		d = x.image.FromDigest
	}
	all, err := x.from.registry.API.Signed(ctx, x.from.name, d)
	if err != nil {
		return err
	}
	for _, name := range asked {
		why := "the image is not signed by it"
		for _, s := range all {
			if s.By == name {
				if why = s.Reason; s.Verified {
					break
				}
			}
		}
		x.signed(gate, name, why, "verified by registry "+x.from.registry.Name)
	}
	return nil
}

// signed takes note of a signer; why is "" where it signed.
func (x *planner) signed(gate judgement, name, why, by string) {
	if why != "" {
		gate("signed_by", false, "%s: %s", name, why)
		return
	}
	gate("signed_by", true, "%s, %s", name, by)
	x.image.Gates[len(x.image.Gates)-1].Verified = true
}

// Limits of signatures that are read; package signing has the same.
const (
	maxSignatures     = 50
	maxSignatureBytes = 1 << 20
)

// refusedBy verifies signatures of the image, or of each of its platforms. It is "" when
// they are those of signer.
func (x *planner) refusedBy(ctx context.Context, signer *trust.Verifier) (why string, err error) {
	why, err = x.refusedFor(ctx, signer, x.graph.root)
	platforms := x.graph.parts()
	if err != nil || why == "" || len(platforms) == 0 {
		return why, err
	}
	for _, v := range platforms {
		of, err := x.refusedFor(ctx, signer, v)
		if err != nil || of != "" {
			return why, err
		}
	}
	return "", nil
}

// parts are the images of the index that is promoted; none for an image alone.
func (g *graph) parts() (list []*vertex) {
	for _, v := range g.all {
		if v.kind == KindImage && v != g.root {
			list = append(list, v)
		}
	}
	return list
}

// refusedFor is refusedBy for the signatures of one manifest.
func (x *planner) refusedFor(ctx context.Context, signer *trust.Verifier, of *vertex) (why string, err error) {
	why = "the image has no signature of the kind that it makes"
	image := trust.Image{Digest: of.Digest, MediaType: of.MediaType, SizeBytes: of.Size}
	if of.body != nil {
		image.SizeBytes = int64(len(of.body))
	}
	held := 0
	for _, v := range append(slices.Clone(x.graph.all), x.graph.tags...) {
		form := trust.FormOf(v.ArtifactType)
		if v.tag != "" && strings.HasSuffix(string(v.tag), ".sig") {
			form = trust.CosignTag
		}
		if v.of != of || form == "" || !signer.Takes(form) {
			continue
		}
		if held++; held > maxSignatures {
			break
		}
		if err := v.loadChild(ctx, x.from); err != nil {
			return "", err
		}
		notes := layerAnnotations(v.body)
		for i, l := range v.parsed.Layers {
			if !form.Fits(l.MediaType) || l.Size > maxSignatureBytes || i >= len(notes) {
				continue
			}
			content, err := x.from.blob(ctx, Blob{Digest: l.Digest, Size: l.Size})
			if err != nil {
				return "", err
			}
			if !l.Digest.Verifies(content) {
				why = fmt.Sprintf("the content of the signature %s is damaged", l.Digest)
				continue
			}
			g := trust.Signature{Form: form, MediaType: l.MediaType, Content: content, Annotations: notes[i]}
			verdict := signer.Verify(image, g, x.cfg.Now())
			if verdict.Refused == "" {
				return "", nil
			}
			why = verdict.Refused
		}
	}
	return why, nil
}

// checkScans looks what the registry of the image has found in it, or in each of its
// platforms.
func (x *planner) checkScans(ctx context.Context, gate judgement) error {
	r := x.request.Require
	name := "scanned"
	if r.MaxSeverity != "" {
		name = "max_severity"
	}
	if x.from.registry.API == nil {
		gate(name, false, "registry %s does not tell what scans found: name its account and region in registries:", x.from.registry.Name)
		return nil
	}
	images := x.graph.parts()
	if len(images) == 0 {
		images = []*vertex{x.graph.root}
	}
	worst := ecr.SeverityNone
	var unmet, found []string
	for _, v := range images {
		of := ""
		if v.platform != "" && v != x.graph.root {
			of = v.platform + ": "
		}
		s, err := x.from.registry.API.Scan(ctx, x.from.name, v.Digest)
		switch {
		case err != nil:
			return err
		case s.Status == "":
			unmet = append(unmet, of+"it was not scanned")
			continue
		case !s.Complete:
			text := of + "its scan is " + s.Status
			if s.Reason != "" {
				text += ", " + s.Reason
			}
			unmet = append(unmet, text)
			continue
		}
		if s.Worst.Compare(worst) < 0 {
			worst = s.Worst
		}
		if r.MaxSeverity != "" && s.Worst.Compare(r.MaxSeverity) < 0 {
			var n []string
			for _, severity := range ecr.Severities() {
				if s.Counts[severity] > 0 && severity.Compare(r.MaxSeverity) < 0 {
					n = append(n, fmt.Sprintf("%d %s", s.Counts[severity], severity))
				}
			}
			found = append(found, of+words.And(n))
		}
	}
	switch {
	case len(unmet) > 0:
		gate(name, false, "%s", strings.Join(unmet, "; "))
	case len(found) > 0:
		gate(name, false, "%s found, and at most %s is accepted", strings.Join(found, "; "), r.MaxSeverity)
	case r.MaxSeverity != "":
		gate(name, true, "at most %s found, and %s is accepted", worst, r.MaxSeverity)
	default:
		gate(name, true, "at most %s found", worst)
	}
	return nil
}
