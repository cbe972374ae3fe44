package plan

import (
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Effects is what a change does to the images of a repository and to the people
// who use it. Package effects computes it. Each part is nil where the change can
// have no such effect, or were not looked for.
type Effects struct {
	Images *ImageEffects  `json:"images,omitempty"`
	Access *AccessEffects `json:"access,omitempty"`
}

// ImageEffects is what a change does to the images that are there.
type ImageEffects struct {
	// Unread says why the images could not be read; then nothing else is known.
	Unread string `json:"unread,omitempty"`
	// At is when they were read: on a Kontor registry, by its image clock.
	At time.Time `json:"at,omitzero"`
	// Count is how many images were looked at.
	Count int `json:"count"`
	// Expire are the images that expire by the new lifecycle policy and would not
	// by the old one, by how far ahead one looks: the shortest time first, which
	// is the next run. Saved are those that only the old one would expire. Both
	// are empty where the lifecycle policy stays.
	Expire []Horizon `json:"expire,omitempty"`
	Saved  []Horizon `json:"saved,omitempty"`
	// Deleted are the images that go with the repository; nil for a change that
	// deletes none.
	Deleted *Horizon `json:"deleted,omitempty"`
	// Going names the images of Expire and Deleted, those that matter first.
	// Unlisted is how many more there are.
	Going    []Going `json:"going,omitempty"`
	Unlisted int     `json:"unlisted,omitempty"`
	// Tags is what another tag mutability means for the tags that are there.
	Tags *TagEffects `json:"tags,omitempty"`
}

// Horizon counts images that go within a time.
type Horizon struct {
	// Days ahead; 0 for the next run.
	Days int `json:"within_days"`
	Images
	// FreedBytes are those of the layers that only these images have, each counted
	// once: what is free when they are gone. Images.SizeBytes is the sum of the
	// images' sizes, which is at least as much. It is nil where it is not known, as
	// on Amazon ECR, and for images that stay.
	FreedBytes *int64 `json:"freed_bytes,omitempty"`
	// Of them, those that are in use by a lease, were pulled in the seven days
	// before, have a tag of a version or environment, and are the newest of their
	// line of tags.
	InUse    int `json:"in_use,omitempty"`
	Pulled   int `json:"pulled_last_week,omitempty"`
	Deployed int `json:"deployed,omitempty"`
	Newest   int `json:"newest,omitempty"`
	// Perhaps is how many of them may belong to an index that keeps them.
	Perhaps int `json:"perhaps,omitempty"`
}

// Going is an image that goes.
type Going struct {
	Digest    string   `json:"image_digest"`
	Tags      []string `json:"image_tags,omitempty"`
	SizeBytes int64    `json:"size_bytes"`
	// Days until the run that expires it, 0 for the next one, and the priority of
	// the rule that does; both 0 when it goes with its repository.
	Days int `json:"in_days"`
	Rule int `json:"rule_priority,omitempty"`
	// Perhaps: an index whose content is not known may keep it.
	Perhaps bool `json:"perhaps,omitempty"`
	// What makes it matter, each empty when it does not: who uses it, when it was
	// pulled in the last seven days, its tag of a version or an environment, and
	// the line of tags that it is the newest of, such as "main-*".
	UsedBy   string    `json:"used_by,omitempty"`
	PulledAt time.Time `json:"pulled_at,omitzero"`
	Deployed string    `json:"deployed_tag,omitempty"`
	NewestOf string    `json:"newest_of,omitempty"`
}

// Matters reports whether an image that goes is likely to be missed.
func (g Going) Matters() bool {
	return g.UsedBy != "" || !g.PulledAt.IsZero() || g.Deployed != "" || g.NewestOf != ""
}

// TagEffects counts tags that are there by what another mutability makes of
// them.
type TagEffects struct {
	// Overwritable can be pushed again afterwards and could not before; Frozen
	// the other way round.
	Overwritable int `json:"overwritable"`
	Frozen       int `json:"frozen"`
	// Names are some of either.
	OverwritableTags []ecr.Tag `json:"overwritable_tags,omitempty"`
	FrozenTags       []ecr.Tag `json:"frozen_tags,omitempty"`
}

// At is the horizon of so many days; zero for one that was not looked at.
func At(list []Horizon, days int) Horizon {
	for _, h := range list {
		if h.Days == days {
			return h
		}
	}
	return Horizon{}
}

// AccessEffects is what a change does to the people who use a repository.
type AccessEffects struct {
	// Unread says why it is not known; then nothing else is.
	Unread string `json:"unread,omitempty"`
	// Changes are by principal, in byte order.
	Changes []AccessChange `json:"changes,omitempty"`
	// Holders may delete images, or change or delete the repository and its
	// policies, after the change; MoreHolders is how many are not named.
	Holders     []Holder `json:"holders,omitempty"`
	MoreHolders int      `json:"more_holders,omitempty"`
	// Barred are the images that someone may pull before the change and not after it, by
	// what is known of their signatures and scans; nil where no policy asks for that.
	Barred *Barred `json:"barred,omitempty"`
	// Absent are the principals that the policy names and that do not exist.
	Absent []Absent `json:"absent,omitempty"`
	// Notes say what could not be seen.
	Notes []string `json:"notes,omitempty"`
}

// Barred are images that can no longer be pulled.
type Barred struct {
	// Unread says why it is not known; then nothing else is.
	Unread string `json:"unread,omitempty"`
	// Looked is how many images were looked at: the newest that have a tag.
	Looked int `json:"looked_at"`
	// Pulls are by principal, in byte order.
	Pulls []BarredPulls `json:"pulls,omitempty"`
}

// BarredPulls are the images that one principal can no longer pull.
type BarredPulls struct {
	Principal string `json:"principal"` // as in AccessChange
	// Images are their first tags, the newest first.
	Images []string `json:"images"`
}

// AccessChange is what a principal gains and loses in a repository.
type AccessChange struct {
	// Principal is an ARN, a service, the 12 digits of an account for its users
	// and roles, or "*" for all other accounts.
	Principal string        `json:"principal"`
	Rights    []RightChange `json:"rights"`
	// MustAllow is what the principal's own account must still allow for what is
	// gained; nil when nothing is wanting, as far as was seen.
	MustAllow *MustAllow `json:"must_allow,omitempty"`
}

// Gains are the rights that are new.
func (c AccessChange) Gains() []string { return c.those(RightChange.Gained) }

// Loses are the rights that are gone.
func (c AccessChange) Loses() []string { return c.those(RightChange.Lost) }

func (c AccessChange) those(are func(RightChange) bool) []string {
	var out []string
	for _, r := range c.Rights {
		if are(r) {
			out = append(out, r.Right)
		}
	}
	return out
}

// RightChange is how one right changes. The words are those of package proof:
// Right is pull, push, delete or admin, and an outcome is allowed, unseen (it is
// for the principal's own account to allow), depends (on conditions), partly or
// denied.
type RightChange struct {
	Right     string   `json:"right"`
	Before    string   `json:"before"`
	After     string   `json:"after"`
	DependsOn []string `json:"depends_on,omitempty"` // condition keys, for the outcome of that name
}

// Gained reports whether the right, or a part of it, is new.
func (r RightChange) Gained() bool { return refused(r.Before) && !refused(r.After) }

// Lost reports whether the right is gone.
func (r RightChange) Lost() bool { return !refused(r.Before) && refused(r.After) }

func refused(outcome string) bool { return outcome == "denied" || outcome == "partly" }

// MustAllow is a policy for an account's administrator to attach.
type MustAllow struct {
	Account ecr.AccountID `json:"account"`
	Policy  string        `json:"policy"` // the document's text
}

// Holder is someone with rights that change or delete what is there.
type Holder struct {
	Principal string   `json:"principal"`
	Rights    []string `json:"rights"`
	// IfAllowed: only if the principal's own policies, which were not seen, allow it
	// as well.
	IfAllowed bool `json:"if_allowed,omitempty"`
	// Foreign: it is not of the registry's account.
	Foreign bool `json:"foreign,omitempty"`
}

// Absent is a principal that does not exist, and the statement that names it.
type Absent struct {
	Principal string `json:"principal"`
	Statement string `json:"statement"` // its Sid, or its place such as "#2"
}
