// Package lifecycle is the lifecycle policy language of Amazon ECR: which
// images of a repository expire, or move to the archive, and when.
//
// Parse takes a policy's text and returns it only when ECR would accept it;
// Decode reads a text without judging it; Validate judges a Policy built in
// code. A refusal lists everything that is wrong, each with its place in the
// text, ECR's words for it and, where those say little, ours.
//
// Evaluate says what a policy does to images at a time, Guard what is left of
// that when images that belong together are looked at together, Decide both.
// Explain gives the reasons for one image, Forecast the days ahead, Diff the
// images that another policy gains or loses, Lint the rules that probably do
// not do what was meant, Test.Run whether a policy does to an image what a test
// expects. All of them are one evaluator. Options hold what AWS leaves open:
// the zero Options delete the least, PredictAWS assumes the larger deletion.
//
// The package is pure: no I/O, no clock, no logging, and nothing but the
// standard library in its signatures.
//
// Source: Amazon ECR user guide, pages "Automate the cleanup of images by
// using lifecycle policies", "Lifecycle policy properties" and "Examples of
// lifecycle policies", and the ECR API model for the length of the text. What
// those leave open is decided in docs/design/0010-one-parser-each.md and
// 0011-lifecycle-evaluation.md. The cases of docs/vectors pass.
package lifecycle

// Limits of a policy.
const (
	MinText     = 100    // characters of a policy's text
	MaxText     = 30_720 // characters of a policy's text
	MaxRules    = 50
	MaxWildcard = 4 // asterisks in one pattern
	// MinArchivedDays is the least countNumber of sinceImageTransitioned: no
	// policy may delete images that were archived for a shorter time.
	MinArchivedDays = 90
)

// Policy is a lifecycle policy. The order of Rules says nothing: their
// priorities do. The zero Policy has no rules and is not valid.
type Policy struct {
	Rules []Rule
}

// Rule selects images and says what happens to them. An image belongs to the
// rule of the lowest Priority, among the rules of its storage class, whose
// tag criteria it meets; no other rule may act on it.
type Rule struct {
	Priority    int    // rulePriority, from 1; lower numbers go first; unique in a policy
	Description string // for people; "" for none
	Selection   Selection
	Action      Action
}

// Selection is which images a rule is about (TagStatus, TagPatterns,
// TagPrefixes, StorageClass) and which of those it acts on (CountType,
// CountUnit, CountNumber).
type Selection struct {
	TagStatus TagStatus
	// TagPatterns is tagPatternList: in each, '*' stands for any run of
	// characters, at most MaxWildcard times. TagPrefixes is tagPrefixList.
	// An image meets a list when every element of it matches some tag of the
	// image. A Tagged rule has exactly one of the two, others have neither.
	TagPatterns []string
	TagPrefixes []string
	// StorageClass may be "" and then means Standard, except with
	// SinceImageTransitioned, where it must be Archive. See Class.
	StorageClass StorageClass
	CountType    CountType
	// CountUnit is Days with every CountType but ImageCountMoreThan, where it
	// is "".
	CountUnit   CountUnit
	CountNumber int // from 1: images kept, or days
}

// Class is the storage class whose images s selects.
func (s Selection) Class() StorageClass {
	if s.StorageClass == "" {
		return Standard
	}
	return s.StorageClass
}

// Action is what happens to the images a rule acts on.
type Action struct {
	Type ActionType
	// TargetStorageClass is Archive with Transition and "" with Expire.
	TargetStorageClass StorageClass
}

// TagStatus says by which tags a rule selects images.
type TagStatus string

// The tag statuses.
const (
	Tagged   TagStatus = "tagged"   // images that meet the rule's list
	Untagged TagStatus = "untagged" // images without tags
	Any      TagStatus = "any"      // all images
)

// CountType says what a rule counts.
type CountType string

// The count types.
const (
	// ImageCountMoreThan acts on all but the CountNumber youngest.
	ImageCountMoreThan CountType = "imageCountMoreThan"
	// SinceImagePushed acts on images pushed more than CountNumber days ago.
	SinceImagePushed CountType = "sinceImagePushed"
	// SinceImagePulled acts on images last pulled, or if never pulled, pushed,
	// more than CountNumber days ago. Only with Transition; with Expire in a
	// Dialect that says so.
	SinceImagePulled CountType = "sinceImagePulled"
	// SinceImageTransitioned acts on images archived more than CountNumber
	// days ago. Only with storage class Archive and Expire.
	SinceImageTransitioned CountType = "sinceImageTransitioned"
)

// CountUnit is the unit of CountNumber, where it is an age.
type CountUnit string

// Days is the only unit.
const Days CountUnit = "days"

// StorageClass is where images are kept.
type StorageClass string

// The storage classes.
const (
	Standard StorageClass = "standard"
	Archive  StorageClass = "archive"
)

// ActionType is what a rule does.
type ActionType string

// The action types.
const (
	Expire     ActionType = "expire"     // delete the image
	Transition ActionType = "transition" // move it to the target storage class
)
