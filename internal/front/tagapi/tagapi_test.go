package tagapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/tagapi"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// service is a handler over real stores, with repositories of two stacks.
type service struct {
	h *tagapi.Handler
	w *testkit.World
}

func newService(t *testing.T) service {
	t.Helper()
	w := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	for name, tags := range map[string]map[string]string{
		"app/a": {"stack": "one", "team": "red"}, "app/b": {"stack": "one"}, "app/c": {"stack": "two"}, "bare": nil,
	} {
		if _, err := w.As(testkit.Admin).CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At(name), Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	return service{tagapi.New(tagapi.Config{Registry: w.Registry, Log: slog.New(slog.DiscardHandler)}), w}
}

func (s service) call(p access.Principal, operation, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.h.Serve(w, httptest.NewRequest(http.MethodPost, "/", nil), operation, []byte(body), p, testkit.Home, "request-1")
	return w
}

func TestGetResources(t *testing.T) {
	s := newService(t)
	tests := []struct{ name, body, want string }{
		{"whatever has tags", `{}`, "app/a app/b app/c"},
		{"a key", `{"TagFilters":[{"Key":"team"}]}`, "app/a"},
		{"a value of several", `{"TagFilters":[{"Key":"stack","Values":["two","three"]}]}`, "app/c"},
		{"all filters count", `{"TagFilters":[{"Key":"stack","Values":["one"]},{"Key":"team","Values":["red"]}]}`, "app/a"},
		{"none", `{"TagFilters":[{"Key":"stack","Values":["three"]}]}`, ""},
		{"a type", `{"ResourceTypeFilters":["s3","ecr:repository"],"TagFilters":[{"Key":"stack","Values":["one"]}]}`, "app/a app/b"},
		{"the service's", `{"ResourceTypeFilters":["ecr"],"TagFilters":[{"Key":"stack","Values":["one"]}]}`, "app/a app/b"},
		{"another service's", `{"ResourceTypeFilters":["s3"]}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 100} {
				t.Run(fmt.Sprint("pages of ", size), func(t *testing.T) {
					var got []string
					token := ""
					for page := 0; page == 0 || token != ""; page++ {
						body := fmt.Sprintf(`{"ResourcesPerPage":%d,"PaginationToken":%q,%s`, size, token, tt.body[1:])
						w := s.call(testkit.Admin, "GetResources", strings.Replace(body, ",}", "}", 1))
						var out struct {
							PaginationToken        string
							ResourceTagMappingList []struct {
								ResourceARN string
								Tags        []struct{ Key, Value string }
							}
						}
						if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != http.StatusOK || page > 5 {
							t.Fatalf("%d %s %v", w.Code, w.Body, err)
						}
						for _, m := range out.ResourceTagMappingList {
							name, ok := strings.CutPrefix(m.ResourceARN, testkit.Home.RepositoryARN(""))
							if !ok || len(m.Tags) == 0 || !slices.IsSortedFunc(m.Tags, func(a, b struct{ Key, Value string }) int { return strings.Compare(a.Key, b.Key) }) {
								t.Errorf("%+v", m)
							}
							got = append(got, name)
						}
						token = out.PaginationToken
					}
					if strings.Join(got, " ") != tt.want {
						t.Errorf("in pages of %d: %q, want %q", size, got, tt.want)
					}
				})
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	s := newService(t)
	reader := testkit.Admin
	reader.Policies = nil
	reader.ARN = "arn:aws:iam::000000000000:user/nobody"
	filters := strings.TrimSuffix(strings.Repeat(`{"Key":"k"},`, 51), ",")
	tests := []struct {
		name, operation, body string
		p                     access.Principal
		kind, message         string
	}{
		{"another operation", "TagResources", `{}`, testkit.Admin, "UnknownOperationException", "GetResources is"},
		{"not JSON", "GetResources", `{`, testkit.Admin, "SerializationException", ""},
		{"no rights", "GetResources", `{}`, reader, "AccessDeniedException", "is not authorized to perform: tag:GetResources"},
		{"a token of another", "GetResources", `{"PaginationToken":"a b"}`, testkit.Admin, "InvalidParameterException", "PaginationToken"},
		{"a token of no repository", "GetResources", `{"PaginationToken":"VVBQRVI"}`, testkit.Admin, "InvalidParameterException", "PaginationToken"},
		{"too large a page", "GetResources", `{"ResourcesPerPage":101}`, testkit.Admin, "InvalidParameterException", "between 1 and 100"},
		{"too small a page", "GetResources", `{"ResourcesPerPage":0}`, testkit.Admin, "InvalidParameterException", "between 1 and 100"},
		{"too many filters", "GetResources", `{"TagFilters":[` + filters + `]}`, testkit.Admin, "InvalidParameterException", "50"},
		{"a filter without a key", "GetResources", `{"TagFilters":[{"Values":["x"]}]}`, testkit.Admin, "InvalidParameterException", "Key"},
		{"ARNs", "GetResources", `{"ResourceARNList":["x"]}`, testkit.Admin, "InvalidParameterException", "not served here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := s.call(tt.p, tt.operation, tt.body)
			var got struct {
				Type    string `json:"__type"`
				Message string `json:"message"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != http.StatusBadRequest || got.Type != tt.kind || !strings.Contains(got.Message, tt.message) {
				t.Errorf("%d %s: %s\nwant %s: %s", w.Code, got.Type, got.Message, tt.kind, tt.message)
			}
		})
	}
}

// Every code of the vocabulary has a form, and what is no code of it says
// nothing but where to look.
func TestEveryCodeIsAnswered(t *testing.T) {
	s := newService(t)
	answer := func(err error) (int, string) {
		w := httptest.NewRecorder()
		s.h.Refuse(w, httptest.NewRequest(http.MethodPost, "/", nil), err, "request-1")
		return w.Code, w.Body.String()
	}
	for _, c := range ecr.Codes() {
		status, body := answer(ecr.Errorf(c, "why"))
		if status != http.StatusBadRequest && !strings.Contains(body, "InternalServiceException") || body == "" {
			t.Errorf("%s: %d %s", c, status, body)
		}
	}
	if status, body := answer(errors.New("a secret")); status != http.StatusInternalServerError || strings.Contains(body, "secret") || !strings.Contains(body, "request-1") {
		t.Errorf("%d %s", status, body)
	}
	if _, body := answer(ecr.Errorf(ecr.CodeThrottling, "slow down")); !strings.Contains(body, "ThrottledException") {
		t.Error(body)
	}
}
