package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/spelling"
)

// regions are those of all partitions of AWS: partitions.json of the AWS SDK.
var regions = strings.Fields(`
	af-south-1
	ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
	ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7
	ca-central-1 ca-west-1
	cn-north-1 cn-northwest-1
	eu-central-1 eu-central-2 eu-isoe-west-1 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3
	eusc-de-east-1
	il-central-1
	me-central-1 me-south-1
	mx-central-1
	sa-east-1
	us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 us-iso-east-1 us-iso-west-1 us-isob-east-1 us-isob-west-1
	us-isof-east-1 us-isof-south-1 us-west-1 us-west-2
`)

// badRegion says why s cannot be the name of a region, "" when it can.
func badRegion(s string) string {
	if _, err := ecr.ParseRegion(lang.Clip(s)); err != nil {
		s = strings.ToLower(strings.NewReplacer("_", "-", " ", "-").Replace(s))
		return err.Error() + meant(s)
	}
	return ""
}

// oddRegion says what is odd about a region: AWS has none of the name, as far
// as is known. "" for nothing.
func oddRegion(s string) string {
	if slices.Contains(regions, s) {
		return ""
	}
	for _, r := range regions {
		// "us-east-1a" is a zone of a region, "us-east-1-bos-1" a local one.
		if zone, ok := strings.CutPrefix(s, r); ok && (len(zone) == 1 && 'a' <= zone[0] && zone[0] <= 'z' || strings.HasPrefix(zone, "-")) {
			return fmt.Sprintf("%q is a zone; its region is %q", s, r)
		}
	}
	return fmt.Sprintf("%q is not a region known to this version of Kontor%s", s, meant(s))
}

// meant asks whether a region was meant that is spelled like s.
func meant(s string) string {
	if near := spelling.Nearest(s, regions); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}
