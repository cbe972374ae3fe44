package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/promote/history"
)

// checkGates looks whether the image may be promoted. All conditions are looked
// at, so that one learns of all that are not met; the command last, and only
// when all others are met.
func (x *planner) checkGates(ctx context.Context) error {
	r := x.request.Require
	var gate judgement = func(name string, met bool, format string, args ...any) {
		g := history.Gate{Name: name, Met: met, Detail: fmt.Sprintf(format, args...)}
		x.image.Gates = append(x.image.Gates, g)
		if !met {
			x.image.find(CodeGate, plan.Error, "%s is not promoted: %s: %s", x.request.From, name, g.Detail)
		}
	}
	if len(r.Platforms) > 0 {
		if missing := lacking(r.Platforms, x.image.Platforms); len(missing) > 0 {
			gate("platforms", false, "%s is missing", list(missing))
		} else {
			gate("platforms", true, "%s", list(r.Platforms))
		}
	}
	for _, wanted := range r.Referrers {
		where, ok := x.graph.everywhere(func(v *vertex) bool { return v.ArtifactType == wanted })
		gate("referrers", ok, "%s: %s", wanted, where)
	}
	if r.Signature {
		where, ok := x.graph.everywhere(isSignature)
		gate("signature", ok, "%s", where)
	}
	if r.SBOM {
		if err := loadAll(ctx, x.from, x.graph.attestations()); err != nil {
			return err
		}
		where, ok := x.graph.everywhere(isSBOM)
		gate("sbom", ok, "%s", where)
	}
	if r.MinAge > 0 {
		if err := x.checkAge(ctx, gate); err != nil {
			return err
		}
	}
	if len(r.SignedBy) > 0 {
		if err := x.checkSigners(ctx, gate); err != nil {
			return err
		}
	}
	if r.Scanned || r.MaxSeverity != "" {
		if err := x.checkScans(ctx, gate); err != nil {
			return err
		}
	}
	if len(r.Verify) > 0 && x.image.Status == StatusPending {
		return x.verify(ctx)
	}
	return nil
}

// judgement takes note of a condition that is met, or not.
type judgement func(name string, met bool, format string, args ...any)

// lacking are the platforms wanted that are not there.
func lacking(wanted, have []string) []string {
	var out []string
	for _, w := range wanted {
		if !slices.ContainsFunc(have, func(h string) bool { return h == w || strings.Count(w, "/") == 1 && strings.HasPrefix(h, w+"/") }) {
			out = append(out, w)
		}
	}
	return out
}

// everywhere reports whether the image, or each of its platforms, has something
// about it that is wanted, and where.
func (g *graph) everywhere(wanted func(*vertex) bool) (where string, ok bool) {
	has := map[*vertex]bool{}
	n := 0
	for _, v := range append(slices.Clone(g.all), g.tags...) {
		if v.of != nil && wanted(v) {
			has[v.of] = true
			n++
		}
	}
	if has[g.root] {
		return "exists, not verified", true
	}
	var without []string
	platforms := 0
	for _, v := range g.all {
		if v.kind != KindImage || v == g.root {
			continue
		}
		if platforms++; !has[v] {
			without = append(without, v.platform)
		}
	}
	switch {
	case n == 0:
		return "there is none", false
	case platforms == 0:
		return "there is none of the image itself", false
	case len(without) > 0:
		return "missing for " + list(without), false
	}
	return "exists for each platform, not verified", true
}

// attestations are the manifests of which only the content tells what they are.
func (g *graph) attestations() []*vertex {
	var out []*vertex
	for _, v := range append(slices.Clone(g.all), g.tags...) {
		if v.kind == KindAttestation || v.kind == KindSignature || strings.Contains(v.ArtifactType, "in-toto") {
			out = append(out, v)
		}
	}
	return out
}

// Artifact types of signatures: Notary Project, "OCI signatures"; cosign,
// "Signature specification" and "Bundle format".
const (
	typeNotary   = "application/vnd.cncf.notary.signature"
	typeCosign   = "application/vnd.dev.cosign.artifact.sig.v1+json"
	typeSigstore = "application/vnd.dev.sigstore.bundle"
	predicate    = "dev.sigstore.bundle.predicateType"
	// predicateSignature is what cosign's own bundles sign an image with.
	predicateSignature = "https://sigstore.dev/cosign/sign/v1"
)

// isSignature reports whether v is a signature by its type or tag.
func isSignature(v *vertex) bool {
	switch {
	case v.kind == KindSignature:
		return strings.HasSuffix(string(v.tag), ".sig")
	case strings.HasPrefix(v.ArtifactType, typeSigstore):
		p := v.Annotations[predicate]
		return p == "" || p == predicateSignature
	}
	return v.ArtifactType == typeNotary || v.ArtifactType == typeCosign
}

// isSBOM reports whether v is an SBOM by its type or tag, or holds one as
// attestations do.
func isSBOM(v *vertex) bool {
	if v.kind == KindSignature && strings.HasSuffix(string(v.tag), ".sbom") || isSBOMType(v.ArtifactType) || isSBOMType(v.Annotations[predicate]) {
		return true
	}
	for _, l := range layerAnnotations(v.body) {
		// BuildKit, "Image attestation storage"; cosign, "In-toto attestations".
		if isSBOMType(l["in-toto.io/predicate-type"]) || isSBOMType(l["predicateType"]) {
			return true
		}
	}
	return false
}

func isSBOMType(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "spdx") || strings.Contains(s, "cyclonedx")
}

// checkAge compares how long the image has been where it comes from.
func (x *planner) checkAge(ctx context.Context, gate judgement) error {
	v, err := x.from.inventory(ctx)
	if err != nil {
		return err
	}
	if v == nil {
		gate("min_age", false, "registry %s does not tell when images were pushed: name its account and region in registries:", x.from.registry.Name)
		return nil
	}
	pushed := v.byDigest[x.image.Digest].PushedAt
	if pushed.IsZero() { // an index of chosen platforms
		pushed = v.byDigest[x.image.FromDigest].PushedAt
	}
	age, least := x.cfg.Now().Sub(pushed.Time), x.request.Require.MinAge
	switch {
	case pushed.IsZero():
		gate("min_age", false, "registry %s does not tell when it was pushed", x.from.registry.Name)
	case age < least:
		gate("min_age", false, "it was pushed at %s, and must be there for %s: try again at %s",
			pushed.Format("2006-01-02 15:04 MST"), least, pushed.Add(least).Format("2006-01-02 15:04 MST"))
	default:
		gate("min_age", true, "pushed at %s", pushed.Format("2006-01-02 15:04 MST"))
	}
	return nil
}

// maxOutput bounds what is shown of a command's output.
const maxOutput = 2000

// verify runs the command.
func (x *planner) verify(ctx context.Context) error {
	name := x.from.image(x.image.Digest)
	if x.chosen.Body != nil { // not there yet; its platforms are
		name = x.from.image(x.image.FromDigest)
	}
	var command []string
	for _, word := range x.request.Require.Verify {
		command = append(command, strings.ReplaceAll(word, "{image}", name))
	}
	out, err := x.cfg.Run(ctx, command)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	g := history.Gate{Name: "verify", Met: err == nil, Verified: err == nil, Detail: strings.Join(command, " ")}
	x.image.Gates = append(x.image.Gates, g)
	if err != nil {
		said := strings.TrimSpace(string(out))
		if len(said) > maxOutput {
			said = "..." + strings.ToValidUTF8(said[len(said)-maxOutput:], "")
		}
		x.image.find(CodeGate, plan.Error, "%s is not promoted: verify: `%s`: %v", x.request.From, g.Detail, errors.Join(err, nonEmpty(said)))
	}
	return nil
}

func nonEmpty(s string) error {
	if s == "" {
		return nil
	}
	return errors.New(s)
}
