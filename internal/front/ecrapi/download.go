package ecrapi

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/content"
)

// DownloadPath is the path for which the server calls ServeDownload. The
// ticket is in the query, which does not go into the request log.
const (
	DownloadPath = "/layer-downloads"
	ticketParam  = "ticket"
)

// downloadLife is how long a download may be begun after its URL was made. A
// download that has begun goes on.
const downloadLife = 15 * time.Minute

// maxTicket is more than the longest ticket.
const maxTicket = 1024

// Ticket is what a download URL allows: to read one layer of one repository,
// as it is now, until it expires. Like a presigned URL of S3 it holds for
// whoever has it; the rights were asked for when it was made.
type Ticket struct {
	Account ecr.AccountID      `json:"a"`
	Region  ecr.Region         `json:"r"`
	Name    ecr.RepositoryName `json:"n"`
	Digest  ecr.Digest         `json:"d"`
	Expires int64              `json:"e"` // seconds since 1970
}

// downloadKey is the key of Config, or one of this process.
func downloadKey(key []byte) []byte {
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails, see crypto/rand
	}
	return key
}

func (h *Handler) seal(t Ticket) (string, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(b, h.tag(b)...)), nil
}

var errTicket = errors.New("not a download URL of this server, or it has expired: call GetDownloadUrlForLayer for a new one")

// open reads a ticket; now is the authentication time.
func (h *Handler) open(s string, now time.Time) (Ticket, error) {
	var t Ticket
	if len(s) > maxTicket {
		return t, errTicket
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) <= sha256.Size {
		return t, errTicket
	}
	body, tag := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(tag, h.tag(body)) || json.Unmarshal(body, &t) != nil || now.Unix() >= t.Expires {
		return Ticket{}, errTicket
	}
	return t, nil
}

// tag authenticates a ticket; its purpose is part of what is authenticated.
func (h *Handler) tag(body []byte) []byte {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte("kontor layer download 1\x00"))
	mac.Write(body)
	return mac.Sum(nil)
}

func (c *call) getDownloadURLForLayer(ctx context.Context, in *GetDownloadUrlForLayerRequest) (*GetDownloadUrlForLayerResponse, error) {
	if c.h.cfg.Now == nil {
		return nil, notServed("GetDownloadUrlForLayer", modelled["GetDownloadUrlForLayer"])
	}
	at := c.repo(in.RegistryId, in.RepositoryName)
	d, err := ecr.ParseDigest(*in.LayerDigest)
	if err != nil {
		return nil, ecr.InvalidParameter("layerDigest", "Member must satisfy regular expression '%s'", ecr.DigestPattern)
	}
	if _, err := c.DownloadableLayer(ctx, at, d); err != nil {
		return nil, err
	}
	t, err := c.h.seal(Ticket{at.In.Account, at.In.Region, at.Name, d, c.h.cfg.Now().Add(downloadLife).Unix()})
	if err != nil {
		return nil, err
	}
	from := c.at.Address(at.In)
	return &GetDownloadUrlForLayerResponse{DownloadUrl: text(from.Scheme + "://" + from.Host + DownloadPath + "?" + ticketParam + "=" + t), LayerDigest: in.LayerDigest}, nil
}

// errMethod: a download URL is for reading.
var errMethod = errors.New("a layer can only be read here")

// OpenTicket returns what a request for DownloadPath may read, or why it may
// not, for RefuseTicket.
func (h *Handler) OpenTicket(r *http.Request) (Ticket, error) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return Ticket{}, errMethod
	case h.cfg.Now == nil:
		return Ticket{}, errTicket
	}
	return h.open(r.URL.Query().Get(ticketParam), h.cfg.Now())
}

// RefuseTicket answers, in plain text, a request that OpenTicket refused.
func (h *Handler) RefuseTicket(w http.ResponseWriter, err error) {
	status := http.StatusForbidden
	if errors.Is(err, errMethod) {
		w.Header().Set("Allow", "GET, HEAD")
		status = http.StatusMethodNotAllowed
	}
	http.Error(w, err.Error(), status)
}

// ServeDownload answers a request for DownloadPath, which needs no other
// credentials than its ticket. It serves ranges (RFC 9110 section 14), and
// answers in plain text when it refuses. To keep downloads cheap w must be
// net/http's own ResponseWriter, or implement io.ReaderFrom through it.
func (h *Handler) ServeDownload(w http.ResponseWriter, r *http.Request, t Ticket, requestID string) {
	at := ecr.Repo{In: ecr.RegistryID{Account: t.Account, Region: t.Region}, Name: t.Name}
	info, f, err := h.cfg.Registry.System("download URL of a layer").OpenBlob(r.Context(), at, t.Digest)
	if err != nil {
		h.refuseDownload(w, r, requestID, err)
		return
	}
	head := w.Header()
	head.Set("Docker-Content-Digest", string(info.Digest))
	head.Set("Cache-Control", "private, no-store") // the URL is a secret
	switch {
	case info.URL != "" && r.Method == http.MethodHead: // the URL is for GET
		head.Set("Content-Length", strconv.FormatInt(info.SizeBytes, 10))
		w.WriteHeader(http.StatusOK)
		return
	case info.URL != "":
		head.Set("Location", info.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	defer func() {
		if err := f.Close(); err != nil {
			h.cfg.Log.WarnContext(r.Context(), "closing a layer", "request_id", requestID, "error", err)
		}
	}()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Etag", `"`+string(info.Digest)+`"`)
	content.Serve(w, r, f)
}

// refuseDownload answers for a layer that cannot be served.
func (h *Handler) refuseDownload(w http.ResponseWriter, r *http.Request, requestID string, err error) {
	switch ecr.CodeOf(err) {
	case ecr.CodeLayersNotFound, ecr.CodeRepositoryNotFound:
		http.Error(w, "The layer no longer exists.", http.StatusNotFound)
		return
	case ecr.CodeUnavailable:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "The registry cannot read this now. Try again later.", http.StatusServiceUnavailable)
	default:
		http.Error(w, "Internal error. Request id: "+requestID, http.StatusInternalServerError)
	}
	h.cfg.Log.LogAttrs(r.Context(), slog.LevelError, "layer download", slog.String("request_id", requestID), slog.Any("error", err))
}
