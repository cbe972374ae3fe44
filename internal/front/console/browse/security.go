package browse

import (
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// mostFindings is how many vulnerabilities the page of an image shows. The CSV has more.
const mostFindings = 100

// scan adds what the last scan of an image found. Where there was none, the page says how
// to have one; who may not see it, sees nothing of it.
func (v *repoVisit) scan(d ecr.Digest, data map[string]any) error {
	may, err := v.May(v.repo, "ecr:DescribeImageScanFindings", "ecr:StartImageScan")
	if err != nil || !may["ecr:DescribeImageScanFindings"] {
		return err
	}
	data["MayScan"] = may["ecr:StartImageScan"]
	s, list, more, err := v.Config.Scanning.As(v.Req.Principal).ScanFindings(v.R.Context(), v.repo, ecr.ImageID{Digest: d}, 0, v.Limit(mostFindings))
	if ecr.CodeOf(err) == ecr.CodeScanNotFound {
		data["Scan"] = t("It was never scanned.")
		if may["ecr:StartImageScan"] {
			data["ScanCommand"] = v.AWS("", "ecr", "start-image-scan --repository-name "+parts.Quoted(string(v.repo.Name))+" --image-id imageDigest="+string(d)).Text
		}
		return nil
	}
	if err != nil {
		return err
	}
	switch s.Status {
	case ecr.ScanComplete:
		data["Scan"] = t("Scanned with %s, %s.", parts.Clean(s.Scanner), words.Distance(v.Now(), s.CompletedAt))
		if s.Scanner == "" {
			data["Scan"] = t("Scanned %s.", words.Distance(v.Now(), s.CompletedAt))
		}
	case ecr.ScanInProgress:
		data["Scan"] = t("It is being scanned.")
		return nil
	default:
		data["Scan"] = t("The scan ended without a result: %s", parts.Clean(s.Reason))
		return nil
	}
	x := &parts.Table{ID: "findings", Caption: t("Vulnerabilities"), CSVHas: parts.FirstRows(parts.ListCSV), Columns: []parts.Column{
		{Key: "severity", Label: t("Severity")}, {Key: "name", Label: t("Name")}, {Key: "package", Label: t("Package")}, {Key: "fixed", Label: t("Fixed in")}, {Key: "score", Label: t("Score"), Number: true},
	}, Empty: t("The scan found no vulnerability."), Count: counts(s.Counts)}
	if more {
		x.Count += ", " + t("the worst %d are shown", len(list))
	}
	for _, f := range list {
		fixed := parts.Cell{Text: parts.Clean(f.Fixed)}
		if f.Fixed == "" {
			fixed = parts.Cell{Text: t("no version yet"), Soft: true}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			severity(f.Severity), {Text: parts.Clean(f.Name), Sub: parts.Clean(clipped(f.Description))}, {Text: parts.Clean(f.Package), Sub: parts.Clean(f.Version), Raw: f.Package + " " + f.Version}, fixed, {Text: parts.Clean(f.Score)},
		}})
	}
	data["Findings"] = x
	return nil
}

// clipped is the beginning of a description.
func clipped(s string) string {
	const most = 160
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// severity is a badge, in words too.
func severity(s ecr.Severity) parts.Cell {
	kind := "plain"
	switch s {
	case ecr.SeverityCritical, ecr.SeverityHigh:
		kind = "go"
	case ecr.SeverityMedium:
		kind = "soon"
	}
	return parts.Cell{Kind: kind, Text: strings.ToLower(string(s)), Raw: string(s)}
}

// counts says how many vulnerabilities of each severity there are, the worst first.
func counts(all map[ecr.Severity]int) string {
	var list []string
	for _, s := range ecr.Severities() {
		if all[s] > 0 {
			list = append(list, strconv.Itoa(all[s])+" "+strings.ToLower(string(s)))
		}
	}
	if len(list) == 0 {
		return t("none")
	}
	return strings.Join(list, ", ")
}

// signatures adds who signed an image, and which signatures are refused.
func (v *repoVisit) signatures(d ecr.Digest, data map[string]any) error {
	may, err := v.May(v.repo, "ecr:DescribeImageSigningStatus")
	if err != nil || !may["ecr:DescribeImageSigningStatus"] {
		return err
	}
	got, err := v.Config.Signing.As(v.Req.Principal).ImageSignatures(v.R.Context(), v.repo, ecr.ImageID{Digest: d})
	if err != nil {
		return err
	}
	if len(got.Trusted) == 0 && len(got.Signatures) == 0 {
		return nil // signatures are not used here
	}
	x := &parts.Table{ID: "signatures", Caption: t("Signatures"), Columns: []parts.Column{
		{Key: "signer", Label: t("Signer")}, {Key: "verdict", Label: t("Verdict")}, {Key: "form", Label: t("Form")}, {Key: "as", Label: t("Signed as")}, {Key: "manifest", Label: t("Signature")},
	}, Empty: t("No signer that is trusted here has signed it."), Hint: t("Sign it with the key of a trusted signer, for example with cosign:"), Command: "cosign sign --key KEY " + parts.Quoted(v.Req.Host+"/"+string(v.repo.Name)+"@"+string(d)), Count: t("no signature that is trusted here")}
	if len(got.SignedBy) > 0 {
		x.Count = t("signed by %s", parts.Clean(words.And(got.SignedBy)))
	}
	for _, s := range got.Signatures {
		verdict := parts.Cell{Kind: "keep", Text: t("accepted")}
		if s.Refused != "" {
			verdict = parts.Cell{Kind: "go", Text: t("refused"), Sub: parts.Clean(s.Refused)}
		}
		x.Rows = append(x.Rows, parts.Row{Cells: []parts.Cell{
			{Text: parts.Clean(s.Signer)}, verdict, {Text: parts.Clean(string(s.Form))}, {Text: parts.Clean(s.As), Soft: true},
			{Text: parts.Short(string(s.Manifest)), Mono: true, Link: parts.RepoURL(v.repo.Name, "images/"+string(s.Manifest)), Raw: string(s.Manifest)},
		}})
	}
	data["Signatures"] = x
	return nil
}
