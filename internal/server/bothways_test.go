package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/server"
)

// call is a signed call of the ECR API by the administrator, which succeeds;
// its answer goes to out, which may be nil.
func (w *world) call(operation string, in, out any) {
	w.t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	a := w.want(w.do(w.json(here, w.credentials(here, administrator), operation, string(b))), 200)
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(a.body), out); err != nil {
		w.t.Fatalf("%s: %v: %s", operation, err, a.body)
	}
}

type fields = map[string]any

// pushByAPI is push by the calls of the ECR API.
func (w *world) pushByAPI(repo, tag, layer string) (image, blob ecr.Digest) {
	w.t.Helper()
	const config = `{"architecture":"amd64","os":"linux"}`
	for _, content := range []string{config, layer} {
		var begun struct{ UploadID string }
		w.call("InitiateLayerUpload", fields{"repositoryName": repo}, &begun)
		w.call("UploadLayerPart", fields{"repositoryName": repo, "uploadId": begun.UploadID, "partFirstByte": 0,
			"partLastByte": len(content) - 1, "layerPartBlob": base64.StdEncoding.EncodeToString([]byte(content))}, nil)
		blob = ecr.DigestOf([]byte(content))
		w.call("CompleteLayerUpload", fields{"repositoryName": repo, "uploadId": begun.UploadID, "layerDigests": []ecr.Digest{blob}}, nil)
	}
	m := w.manifest(config, layer)
	w.call("PutImage", fields{"repositoryName": repo, "imageManifest": m, "imageTag": tag}, nil)
	return ecr.DigestOf([]byte(m)), blob
}

// detail is what DescribeImages says of an image, without its repository.
type detail struct {
	ImageDigest            ecr.Digest
	ImageTags              []string
	ImageSizeInBytes       int64
	ImagePushedAt          float64
	ImageManifestMediaType string
	ArtifactMediaType      string
	ImageStatus            string
	LastRecordedPullTime   float64
}

func (w *world) detail(repo, tag string) detail {
	w.t.Helper()
	var out struct{ ImageDetails []detail }
	w.call("DescribeImages", fields{"repositoryName": repo, "imageIds": []fields{{"imageTag": tag}}}, &out)
	if len(out.ImageDetails) != 1 {
		w.t.Fatalf("%s:%s: %+v", repo, tag, out)
	}
	return out.ImageDetails[0]
}

// An image is the same whichever way it came and whichever way it is looked at.
func TestBothWaysSeeTheSameImages(t *testing.T) {
	// The clock of images moves, so that a push time tells which push it is of.
	clock := frozen()
	w := start(t, t.TempDir(), func(c *server.Config) { c.TestClock = clock })
	const layer = "the layer"
	w.create(here, "docker")
	w.create(here, "api")
	password := w.password(here, pusher)
	image, blob := w.push(here, password, "docker", "v1", layer)
	if i, b := w.pushByAPI("api", "v1", layer); i != image || b != blob {
		t.Errorf("digests by the API %s and %s, by docker %s and %s", i, b, image, blob)
	}
	manifest := w.manifest(`{"architecture":"amd64","os":"linux"}`, layer)
	want := detail{
		ImageDigest: image, ImageTags: []string{"v1"}, ImagePushedAt: float64(clock.Now().Unix()),
		ImageSizeInBytes:       int64(len(`{"architecture":"amd64","os":"linux"}`) + len(layer)),
		ImageManifestMediaType: manifestType, ArtifactMediaType: "application/vnd.oci.image.config.v1+json", ImageStatus: "ACTIVE",
	}
	for _, repo := range []string{"docker", "api"} {
		t.Run(repo, func(t *testing.T) {
			w.within(t)
			if d := cmp.Diff(want, w.detail(repo, "v1")); d != "" {
				t.Errorf("%s (-want +got):\n%s", repo, d)
			}
			// Pulled by docker.
			a := w.want(w.do(w.basic(here, password, "GET", "/v2/"+repo+"/manifests/v1", "")), 200)
			if a.body != manifest || a.header.Get("Docker-Content-Digest") != string(image) {
				t.Errorf("%s with digest %s", a.body, a.header.Get("Docker-Content-Digest"))
			}
			if a = w.want(w.do(w.basic(here, password, "GET", "/v2/"+repo+"/blobs/"+string(blob), "")), 200); a.body != layer {
				t.Errorf("layer %q", a.body)
			}
			// Pulled by the API.
			var got struct {
				Images []struct{ ImageManifest string }
			}
			w.call("BatchGetImage", fields{"repositoryName": repo, "imageIds": []fields{{"imageTag": "v1"}}}, &got)
			if len(got.Images) != 1 || got.Images[0].ImageManifest != manifest {
				t.Errorf("%+v", got)
			}
			var url struct{ DownloadURL string }
			w.call("GetDownloadUrlForLayer", fields{"repositoryName": repo, "layerDigest": blob}, &url)
			r := w.request(here, "GET", "/", "")
			target, err := r.URL.Parse(url.DownloadURL)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = target
			if a = w.want(w.do(r), 200); a.body != layer {
				t.Errorf("downloaded %q", a.body)
			}
		})
	}
	// Each adds a tag to the other's image an hour later. ECR keeps the time of
	// the first push (ECR.md 7).
	clock.Advance(time.Hour)
	w.call("PutImage", fields{"repositoryName": "docker", "imageManifest": manifest, "imageTag": "v2"}, nil)
	w.want(w.do(w.basic(here, password, "PUT", "/v2/api/manifests/v2", manifest, "Content-Type", manifestType)), 201)
	want.ImageTags = []string{"v1", "v2"}
	for _, repo := range []string{"docker", "api"} {
		t.Run(repo+" with another tag", func(t *testing.T) {
			w.within(t)
			got := w.detail(repo, "v2")
			got.LastRecordedPullTime = 0
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s with another tag (-want +got):\n%s", repo, d)
			}
			a := w.want(w.do(w.basic(here, password, "GET", "/v2/"+repo+"/tags/list", "")), 200)
			if tags := fmt.Sprintf(`{"name":%q,"tags":["v1","v2"]}`, repo); a.body != tags && a.body != tags+"\n" {
				t.Errorf("tags %s, want %s", a.body, tags)
			}
		})
	}
}

// until asks again until done, and fails the test if that takes far too long.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// A running server stores pull times regularly, so that a crash loses only the
// last seconds, and reports how many wait.
func TestPullTimesAreStoredWhileServing(t *testing.T) {
	f := &figures{}
	w := start(t, t.TempDir(), func(c *server.Config) { c.Observer = f })
	w.create(here, "app")
	password := w.password(here, pusher)
	w.push(here, password, "app", "v1", "layer")
	w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "")), 202)
	w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/v1", "")), 200)
	until(t, "the pull time was not stored", func() bool { return w.detail("app", "v1").LastRecordedPullTime != 0 })
	until(t, "the waiting pull times were not reported", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.uploads == 1 && f.pulls == 1
	})
}

// Uploads of the age that --upload-age says go; what is younger stays.
func TestUploadAge(t *testing.T) {
	f, clock := &figures{}, frozen()
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.Observer, c.UploadAge, c.TestClock = f, 40*time.Millisecond, clock
	})
	w.create(here, "app")
	password := w.password(here, pusher)
	location := w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "")), 202).header.Get("Location")
	w.want(w.do(w.basic(here, password, "PATCH", location, "half of it")), 202)
	runs := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.runs
	}
	// By the clock of images no time passes.
	before := runs()
	until(t, "no job ran", func() bool { return runs() > before+2 })
	w.want(w.do(w.basic(here, password, "GET", location, "")), 204)
	clock.Advance(time.Second)
	until(t, "the upload is still there", func() bool {
		return w.do(w.basic(here, password, "GET", location, "")).status == 404
	})
	until(t, "the removal was not told", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.removed["upload expiry"] == 1
	})
}

// frozen is a clock of images that moves when it is told to.
func frozen() *retention.TestClock {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return retention.NewTestClock(func() time.Time { return at })
}
