package parts

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// statuses are those of errors by code; others are 400.
var statuses = map[ecr.Code]int{
	ecr.CodeAccessDenied: http.StatusForbidden, ecr.CodeRepositoryNotFound: http.StatusNotFound, ecr.CodeImageNotFound: http.StatusNotFound,
	ecr.CodeLifecyclePolicyNotFound: http.StatusNotFound, ecr.CodeRepositoryPolicyNotFound: http.StatusNotFound, iam.CodeNoSuchEntity: http.StatusNotFound,
	codeNoPage: http.StatusNotFound, ecr.CodeThrottling: http.StatusTooManyRequests, ecr.CodeUnavailable: http.StatusServiceUnavailable,
	ecr.CodeUnrecognizedClient: http.StatusUnauthorized, ecr.CodeExpiredToken: http.StatusUnauthorized,
	iam.CodeEntityAlreadyExists: http.StatusConflict,
}

// codeNoPage is for paths that nothing is at.
const codeNoPage ecr.Code = "NoSuchPage"

// Told is what a browser is told of err. Of an error that is not for clients it learns
// the id of the request.
func Told(err error, id string) (status int, code, message string) {
	var known *ecr.Error
	if !errors.As(err, &known) || known.Code == ecr.CodeServer {
		return http.StatusInternalServerError, "", t("The server could not make this page. Its operator finds the reason in the log under request id %s.", id)
	}
	status = http.StatusBadRequest
	if s, ok := statuses[known.Code]; ok {
		status = s
	}
	return status, string(known.Code), known.Message
}

// Fail answers with err.
func (v *Visit) Fail(err error) {
	status, code, message := Told(err, v.Req.ID)
	if v.Status == 0 {
		v.Status = status
	}
	if v.Status >= http.StatusInternalServerError {
		level := slog.LevelError
		if v.R.Context().Err() != nil {
			level = slog.LevelDebug
		}
		v.Config.Log.Log(v.R.Context(), level, "console error", "request_id", v.Req.ID, "path", v.R.URL.Path, "error", err)
	}
	title := t("That did not work")
	hint := t("Go back, correct it and try again.")
	switch {
	case v.Status == http.StatusForbidden:
		title, hint = t("You may not see or do this"), t("An administrator can see why, and what would allow it, on the page Who may do what.")
	case v.Status == http.StatusNotFound:
		title, hint = t("There is nothing here"), t("It may have been deleted or renamed: the journal says what became of images.")
	case v.Status == http.StatusTooManyRequests:
		title, hint = t("Too many requests"), t("Wait a moment, then try again.")
	case v.Status == http.StatusServiceUnavailable:
		title, hint = t("The registry is busy"), t("Wait a moment, then load the page again.")
	case v.Status >= http.StatusInternalServerError:
		title, hint = t("The page could not be made"), t("Load it again; if that does not help, tell the operator the request id.")
	}
	if err := v.Show(Shared, "error", Layout{Title: title, Data: map[string]string{"Code": code, "Text": Clean(message), "Hint": hint}}); err != nil {
		http.Error(v.W, title, v.Status)
	}
}

// NoPage is the error of an address that nothing is at.
func NoPage() error {
	return ecr.Errorf(codeNoPage, "%s", t("The console has no page at this address."))
}
