package events

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Format is the form in which a receiver gets events.
type Format string

// The formats.
const (
	// EventBridge is the form of the events that Amazon ECR sends to EventBridge. What
	// Kontor adds is in the field kontor of the detail.
	EventBridge Format = "eventbridge"
	// CloudEvents is JSON in structured mode, CloudEventsBinary has the attributes in
	// headers.
	CloudEvents       Format = "cloudevents"
	CloudEventsBinary Format = "cloudevents-binary"
)

// Message is an event in a format.
type Message struct {
	ContentType string
	Headers     map[string]string
	Body        []byte
}

// Render writes e in the format f.
func Render(e Event, f Format) (Message, error) {
	var v any
	m := Message{ContentType: "application/json"}
	switch f {
	case CloudEvents:
		m.ContentType = "application/cloudevents+json; charset=utf-8"
		c := cloudEventOf(e)
		c.DataContentType, c.Data = "application/json", factsOf(e)
		v = c
	case CloudEventsBinary:
		c := cloudEventOf(e)
		m.Headers = map[string]string{"Ce-Specversion": c.SpecVersion, "Ce-Id": c.ID, "Ce-Source": c.Source, "Ce-Type": c.Type, "Ce-Time": c.Time}
		if c.Subject != "" {
			m.Headers["Ce-Subject"] = url.PathEscape(c.Subject)
		}
		v = factsOf(e)
	default:
		v = eventBridgeOf(e)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return Message{}, fmt.Errorf("encoding event %s: %w", e.ID, err)
	}
	m.Body = body
	return m, nil
}

// eventBridge is an event as EventBridge delivers it.
type eventBridge struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     detail   `json:"detail"`
}

// detail has the fields of all of ECR's events, and what Kontor adds.
type detail struct {
	RuleVersion string `json:"rule-version,omitzero"`
	SyncStatus  string `json:"sync-status,omitzero"`
	ScanStatus  string `json:"scan-status,omitzero"`
	Result      string `json:"result,omitzero"`
	Prefix      string `json:"ecr-repository-prefix,omitzero"`
	Repository  string `json:"repository-name,omitzero"`
	Upstream    string `json:"upstream-registry-url,omitzero"`

	Findings map[string]int `json:"finding-severity-counts,omitzero"`

	ImageDigest       string    `json:"image-digest,omitzero"`
	SourceAccount     string    `json:"source-account,omitzero"`
	ActionType        string    `json:"action-type,omitzero"`
	SourceRegion      string    `json:"source-region,omitzero"`
	ImageTag          string    `json:"image-tag,omitzero"`
	ImageTags         *[]string `json:"image-tags,omitzero"`
	StorageClass      string    `json:"target-storage-class,omitzero"`
	ManifestMediaType string    `json:"manifest-media-type,omitzero"`
	ArtifactMediaType string    `json:"artifact-media-type,omitzero"`
	LastActivatedAt   string    `json:"last-activated-at,omitzero"`
	FailureCode       string    `json:"failure-code,omitzero"`
	FailureReason     string    `json:"failure-reason,omitzero"`

	Kontor facts `json:"kontor"`
}

// facts are all that an event says, in the words of the ECR API.
type facts struct {
	Event              string         `json:"event"`
	Repository         string         `json:"repositoryName,omitzero"`
	ImageDigest        string         `json:"imageDigest,omitzero"`
	ImageTag           string         `json:"imageTag,omitzero"`
	RegistryID         string         `json:"registryId,omitzero"`
	Region             string         `json:"region,omitzero"`
	ImageTags          []string       `json:"imageTags,omitzero"`
	MediaType          string         `json:"imageManifestMediaType,omitzero"`
	ArtifactType       string         `json:"artifactMediaType,omitzero"`
	Subject            string         `json:"subjectDigest,omitzero"`
	SizeBytes          int64          `json:"imageSizeInBytes,omitzero"`
	Previous           string         `json:"previousImageDigest,omitzero"`
	Actor              string         `json:"actor,omitzero"`
	RequestID          string         `json:"requestId,omitzero"`
	Source             string         `json:"sourceIPAddress,omitzero"`
	Reason             string         `json:"reason,omitzero"`
	Rule               int            `json:"rulePriority,omitzero"`
	Operation          string         `json:"operation,omitzero"`
	Action             string         `json:"action,omitzero"`
	Statement          string         `json:"statement,omitzero"`
	Policy             string         `json:"policy,omitzero"`
	PolicyDeleted      bool           `json:"policyDeleted,omitzero"`
	Collector          string         `json:"collector,omitzero"`
	Workload           string         `json:"workload,omitzero"`
	Expected           string         `json:"expectedAt,omitzero"`
	FailureCode        string         `json:"failureCode,omitzero"`
	Failure            string         `json:"failureReason,omitzero"`
	Prefix             string         `json:"ecrRepositoryPrefix,omitzero"`
	Upstream           string         `json:"upstreamRegistryUrl,omitzero"`
	SourceRegistry     string         `json:"sourceRegistryId,omitzero"`
	SourceRegion       string         `json:"sourceRegion,omitzero"`
	ScanStatus         string         `json:"scanStatus,omitzero"`
	Findings           map[string]int `json:"findingSeverityCounts,omitzero"`
	TargetStorageClass string         `json:"targetStorageClass,omitzero"`
	Dropped            int            `json:"droppedEvents,omitzero"`
	Since              string         `json:"since,omitzero"`
	Until              string         `json:"until,omitzero"`
}

func factsOf(e Event) facts {
	class := ""
	switch e.Type {
	case ImageArchived:
		class = "ARCHIVE"
	case ImageActivated:
		class = "STANDARD"
	}
	return facts{
		Event: string(e.Type), Repository: string(e.Repository), ImageDigest: string(e.Digest), ImageTag: string(e.Tag),
		RegistryID: string(e.Registry.Account), Region: string(e.Registry.Region), ImageTags: texts(e.Tags), MediaType: e.MediaType, ArtifactType: e.ArtifactType,
		Subject: string(e.Subject), SizeBytes: e.SizeBytes, Previous: string(e.Previous), Actor: e.Actor, RequestID: e.RequestID, Source: e.Source,
		Reason: e.Reason, Rule: e.Rule, Operation: e.Operation, Action: e.Action, Statement: e.Statement, Policy: e.Policy, PolicyDeleted: e.Deleted,
		Collector: e.Collector, Workload: e.Workload, Expected: moment(e.Expected), FailureCode: e.FailureCode, Failure: e.Failure, Prefix: e.Prefix, Upstream: e.Upstream,
		SourceRegistry: string(e.From.Account), SourceRegion: string(e.From.Region), ScanStatus: e.ScanStatus, Findings: e.Findings,
		TargetStorageClass: class, Dropped: e.Dropped, Since: moment(e.Since), Until: moment(e.Until),
	}
}

func texts(tags []ecr.Tag) []string {
	var out []string
	for _, t := range tags {
		out = append(out, string(t))
	}
	return out
}

// moment is a time with its fraction, "" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// What ECR's events and Kontor's are called by their source, and Kontor's in CloudEvents.
const (
	sourceECR    = "aws.ecr"
	sourceKontor = "kontor"
	reverseDNS   = "io.github.kontor-registry."
)

// eventBridgeOf is e as ECR would send it, or in the same form where ECR has no such event.
func eventBridgeOf(e Event) eventBridge {
	b := eventBridge{
		Version: "0", ID: e.ID, Source: sourceECR, Account: string(e.Registry.Account), Time: e.At.UTC().Format("2006-01-02T15:04:05Z"),
		Region: string(e.Registry.Region), Resources: []string{},
	}
	d := detail{Result: "SUCCESS", Repository: string(e.Repository), ImageDigest: string(e.Digest), ImageTag: string(e.Tag), Kontor: factsOf(e)}
	if e.Failure != "" || e.FailureCode != "" {
		d.Result, d.FailureCode, d.FailureReason = "FAILED", e.FailureCode, e.Failure
	}
	if d.ImageTag == "" && len(e.Tags) > 0 {
		d.ImageTag = string(e.Tags[0])
	}
	// Those of its ECR Image Action that are about a referrer.
	image := "ECR Image Action"
	if e.Subject != "" {
		image = "ECR Referrer Action"
	}
	switch e.Type {
	case ImagePushed, ImageRestored:
		b.DetailType, d.ActionType = image, "PUSH"
		if e.Subject != "" {
			d.ManifestMediaType, d.ArtifactMediaType = e.MediaType, e.ArtifactType
		}
	case ImageDeleted, ImageExpired:
		b.DetailType, d.ActionType = image, "DELETE"
		if e.Subject != "" {
			d.ManifestMediaType, d.ArtifactMediaType = e.MediaType, e.ArtifactType
		}
	case ImageArchived, ImageActivated:
		b.DetailType, d.ActionType = image, "UPDATE_STORAGE_CLASS"
		d.StorageClass, d.ManifestMediaType, d.ArtifactMediaType, d.ImageTag = d.Kontor.TargetStorageClass, e.MediaType, e.ArtifactType, ""
		d.LastActivatedAt = moment(e.ActivatedAt)
	case CachePulled:
		b.DetailType, d.SyncStatus, d.RuleVersion = "ECR Pull Through Cache Action", d.Result, "1"
		d.Result, d.Prefix, d.Upstream = "", e.Prefix, e.Upstream
		b.Resources = []string{e.Registry.Repo(e.Repository).ARN()}
	case ImageReplicated:
		b.DetailType, d.ActionType = "ECR Replication Action", "REPLICATE"
		d.SourceAccount, d.SourceRegion = string(e.From.Account), string(e.From.Region)
		b.Resources = []string{e.Registry.Repo(e.Repository).ARN()}
	case ImageScanned:
		tags := append([]string{}, texts(e.Tags)...)
		b.DetailType, d.ScanStatus, d.Findings, d.ImageTags, d.Result, d.ImageTag = "ECR Image Scan", e.ScanStatus, e.Findings, &tags, "", ""
		b.Resources = []string{e.Registry.Repo(e.Repository).ARN()}
	default:
		b.Source, b.DetailType, d.Result = sourceKontor, "Kontor "+title(e.Type), ""
		if e.Repository != "" {
			b.Resources = []string{e.Registry.Repo(e.Repository).ARN()}
		}
	}
	b.Detail = d
	return b
}

// title is "Lease Taken" for "lease.taken".
func title(t Type) string {
	words := strings.Split(string(t), ".")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, " ")
}

// cloudEvent is an event as CloudEvents 1.0.2 has it, in the JSON format.
type cloudEvent struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Type            string `json:"type"`
	Source          string `json:"source"`
	Subject         string `json:"subject,omitzero"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype,omitzero"`
	Data            facts  `json:"data"`
}

// cloudTypes are the types of ECR's events as consumers of CloudEvents know them: an input
// transformer of EventBridge makes com.amazon.ecr.image.push of pushes.
var cloudTypes = map[Type]string{
	ImagePushed: "com.amazon.ecr.image.push", ImageRestored: "com.amazon.ecr.image.push",
	ImageDeleted: "com.amazon.ecr.image.delete", ImageExpired: "com.amazon.ecr.image.delete",
	ImageScanned: "com.amazon.ecr.image.scan", ImageReplicated: "com.amazon.ecr.image.replicate", CachePulled: "com.amazon.ecr.image.cache",
}

func cloudEventOf(e Event) cloudEvent {
	c := cloudEvent{
		SpecVersion: "1.0", ID: e.ID, Type: cloudTypes[e.Type], Time: moment(e.At),
		Source: fmt.Sprintf("urn:aws:ecr:%s:%s", e.Registry.Region, e.Registry.Account),
	}
	if c.Type == "" {
		c.Type = reverseDNS + string(e.Type)
	}
	if e.Repository != "" {
		c.Source += ":repository/" + string(e.Repository)
		c.Subject = string(e.Repository)
	}
	switch {
	case e.Tag != "":
		c.Subject += ":" + string(e.Tag)
	case e.Digest != "":
		c.Subject += "@" + string(e.Digest)
	}
	return c
}
