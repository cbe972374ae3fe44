package parts

import (
	"net/url"
)

// dones are what pages say after an action, by the parameter done.
var dones = map[string]func() string{
	"restored": func() string { return t("The image is back.") },
	"deleted": func() string {
		return t("The images were deleted. They can be restored from the recycle bin for a while.")
	},
	"attached":    func() string { return t("The policy is attached. It counts for the next request.") },
	"detached":    func() string { return t("The policy is detached. It counts for the next request.") },
	"saved":       func() string { return t("The inline policy is saved. It counts for the next request.") },
	"unput":       func() string { return t("The inline policy is deleted.") },
	"revoked":     func() string { return t("The token is revoked. What uses it is refused from now on.") },
	"tagged":      func() string { return t("The image has the tag.") },
	"forgotten":   func() string { return t("The collector is forgotten: its leases keep nothing now.") },
	"ended":       func() string { return t("The session has ended.") },
	"lifecycle":   func() string { return t("The lifecycle policy is saved. The next run acts by it.") },
	"nolifecycle": func() string { return t("The lifecycle policy is removed: nothing expires now.") },
	"policy":      func() string { return t("The repository policy is saved. It holds for the next request.") },
	"nopolicy":    func() string { return t("The repository policy is removed.") },
	"credential": func() string {
		return t("The credential is stored. It is used from the next login to its registry on.")
	},
	"pinned":   func() string { return t("The image is pinned: no lifecycle rule expires it.") },
	"unpinned": func() string { return t("The pin is removed.") },
	"scan":     func() string { return t("The image will be scanned. Load the page again to see how it went.") },
	"queued":   func() string { return t("It is queued, and will be sent soon.") },
	"gone":     func() string { return t("It is deleted.") },
	"trust":    func() string { return t("The trust policy is saved. It counts for the next session.") },
	"created":  func() string { return t("It is created.") },
	"keyoff":   func() string { return t("The access key is switched off. What uses it is refused from now on.") },
	"keyon":    func() string { return t("The access key is switched on.") },
	"keygone":  func() string { return t("The access key is deleted.") },
}

// done is the message after an action, nil for none.
func (v *Visit) done() *Message {
	if v.R == nil {
		return nil
	}
	if say, ok := dones[v.R.URL.Query().Get("done")]; ok {
		return &Message{Kind: "good", Text: say()}
	}
	return nil
}

// Finish sends the browser to a page that says what was done.
func (v *Visit) Finish(to, done string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	return v.To(With(u, "done", done))
}
