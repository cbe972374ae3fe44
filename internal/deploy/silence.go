package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Silence is how long the other end of a call may say nothing before the call is
// given up: many times what AWS takes for one. An answer that comes slowly is no
// silence.
const Silence = time.Minute

// SilentError is a call that was given up because the other end said nothing.
type SilentError struct {
	Host  string        // with its port, if it has one
	After time.Duration // for which it was silent
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("%s has said nothing for %s", e.Host, e.After)
}

// listen gives each call of a client up that gets no answer, or no more of it,
// for the limit. It works on whatever HTTP client makes the calls, and each
// attempt counts for itself.
func listen(limit time.Duration) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("KontorSilence", func(
			ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
		) (middleware.DeserializeOutput, middleware.Metadata, error) {
			silent := &SilentError{After: limit}
			if r, ok := in.Request.(*smithyhttp.Request); ok {
				silent.Host = r.URL.Host
			}
			ctx, cancel := context.WithCancelCause(ctx)
			timer := time.AfterFunc(limit, func() { cancel(silent) })
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if answer, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil && answer.Body != nil {
				timer.Reset(limit)
				answer.Body = &heard{ReadCloser: answer.Body, limit: limit, timer: timer, ctx: ctx, cancel: cancel}
				return out, metadata, nil
			}
			timer.Stop()
			err = cause(ctx, err)
			cancel(nil)
			return out, metadata, err
		}), middleware.After)
	}
}

// cause is err, or what ended ctx where that was silence.
func cause(ctx context.Context, err error) error {
	var silent *SilentError
	if err != nil && errors.As(context.Cause(ctx), &silent) {
		return silent
	}
	return err
}

// heard is the body of an answer whose every piece gives the rest more time.
type heard struct {
	io.ReadCloser
	limit  time.Duration
	timer  *time.Timer
	ctx    context.Context // it is that of the one call whose body this is
	cancel context.CancelCauseFunc
}

func (b *heard) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && b.timer.Stop() {
		b.timer.Reset(b.limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = cause(b.ctx, err)
	}
	return n, err
}

func (b *heard) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}
