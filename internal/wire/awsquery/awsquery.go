// Package awsquery speaks the AWS Query protocol as a server: parameters of a
// form or a query string in, XML out. It knows no action and no error code of
// a service.
//
// Source: Smithy specification, "AWS Query protocol"; responses as AWS STS
// and IAM write them.
package awsquery

import (
	"bytes"
	"encoding/xml"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// ContentType of responses.
const ContentType = "text/xml"

// RequestIDHeader carries the request id of a response.
const RequestIDHeader = "x-amzn-RequestId"

// formType is the media type of a request body with parameters.
const formType = "application/x-www-form-urlencoded"

// IsForm reports whether r can be a Query request: a GET, or a POST of a
// form.
func IsForm(r *http.Request) bool {
	if r.Method == http.MethodGet {
		return true
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && err == nil && media == formType
}

// maxParameters bounds the parameters of a request: what each takes in memory
// does not depend on its size. No operation has more than some hundred.
const maxParameters = 5000

// Form returns the parameters of r, whose whole body is body: those of its
// query string and, for a POST, those of the body. Each is given once, so
// that no two readers can understand a request differently.
// SerializationException for anything else.
func Form(r *http.Request, body []byte) (url.Values, error) {
	if strings.Count(r.URL.RawQuery, "&")+bytes.Count(body, []byte("&")) >= maxParameters {
		return nil, ecr.Errorf(ecr.CodeSerialization, "The request has more than %d parameters", maxParameters)
	}
	if !IsForm(r) {
		return nil, ecr.Errorf(ecr.CodeSerialization, "The request must be a GET or a POST of %s", formType)
	}
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, ecr.Errorf(ecr.CodeSerialization, "The query string contains a syntax error")
	}
	if r.Method == http.MethodPost {
		posted, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, ecr.Errorf(ecr.CodeSerialization, "The request body contains a syntax error")
		}
		for name, values := range posted {
			form[name] = append(form[name], values...)
		}
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, ecr.Errorf(ecr.CodeSerialization, "The parameter '%.100s' is given more than once", name)
		}
	}
	return form, nil
}

// Write answers action, in the service's namespace, with the members of
// result: a struct whose xml tags name them. It writes
//
//	<ActionResponse xmlns="namespace"><ActionResult>...</ActionResult><ResponseMetadata>...
func Write(w http.ResponseWriter, requestID, namespace, action string, result any) {
	var b bytes.Buffer
	e := xml.NewEncoder(&b)
	response := xml.StartElement{Name: xml.Name{Local: action + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}}
	err := e.EncodeToken(response)
	if err == nil && result != nil {
		err = e.EncodeElement(result, xml.StartElement{Name: xml.Name{Local: action + "Result"}})
	}
	if err == nil {
		metadata := struct {
			RequestID string `xml:"RequestId"`
		}{requestID}
		err = e.EncodeElement(metadata, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}})
	}
	if err == nil {
		err = e.EncodeToken(response.End())
	}
	if err == nil {
		err = e.Flush()
	}
	if err != nil {
		WriteError(w, requestID, namespace, Error{
			Status: http.StatusInternalServerError, Fault: Receiver, Code: "InternalFailure", Message: "The response could not be encoded.",
		})
		return
	}
	write(w, http.StatusOK, requestID, b.Bytes())
}

// WriteEmpty answers an action that has no result.
func WriteEmpty(w http.ResponseWriter, requestID, namespace, action string) {
	Write(w, requestID, namespace, action, nil)
}

// Fault says whose an error is.
type Fault string

// The faults.
const (
	Sender   Fault = "Sender"
	Receiver Fault = "Receiver"
)

// Error is an error on the wire.
type Error struct {
	Status  int // HTTP status
	Fault   Fault
	Code    string // for example "InvalidAction"
	Message string
}

// WriteError answers with e. It writes
//
//	<ErrorResponse xmlns="namespace"><Error><Type/><Code/><Message/></Error><RequestId/></ErrorResponse>
func WriteError(w http.ResponseWriter, requestID, namespace string, e Error) {
	type detail struct {
		Type    Fault
		Code    string
		Message string
	}
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Namespace string   `xml:"xmlns,attr"`
		Error     detail
		RequestID string `xml:"RequestId"`
	}{Namespace: namespace, Error: detail{e.Fault, e.Code, e.Message}, RequestID: requestID})
	if err != nil { // no value of these types fails
		body = nil
	}
	write(w, e.Status, requestID, body)
}

// write sends a whole response. Errors of the connection are ignored: the
// client is gone.
func write(w http.ResponseWriter, status int, requestID string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set(RequestIDHeader, requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
