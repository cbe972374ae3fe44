package server

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// An answer without a length, which would end like a whole one.
func TestPanicInAStream(t *testing.T) {
	s := &Server{cfg: Config{Log: slog.New(slog.DiscardHandler)}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := newRecorder(w, -1)
		defer s.answerPanic(rec, r, &request{id: "id", refuse: func(error) { t.Error("answered twice") }})
		if _, err := io.WriteString(rec, "half"); err != nil {
			t.Error(err)
		}
		if err := http.NewResponseController(rec).Flush(); err != nil {
			t.Error(err)
		}
		panic("in the middle")
	}))
	t.Cleanup(srv.Close)
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); cerr != nil {
		t.Error(cerr)
	}
	if string(b) != "half" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", b, err)
	}
}
