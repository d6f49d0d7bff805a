// Package errs is the closed set of reasons for which Yardmaster refuses or fails.
//
// Every error that leaves a domain package carries one Code. Each surface maps codes once: REST to a status, the CLI to
// an exit code, a model tool to a text that says what to do. An error without a code is Internal, and its text stays in
// the log.
package errs

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Code is a reason from the closed set of the HTTP contract.
type Code string

// The closed set. Clients switch on these strings, so a value never changes its meaning.
const (
	Invalid         Code = "invalid"         // the request is wrong; Fields say where
	Unauthenticated Code = "unauthenticated" // no valid key
	Forbidden       Code = "forbidden"       // a valid key without the right
	NotFound        Code = "not_found"       // no such thing in this account
	Conflict        Code = "conflict"        // the thing is in a state that does not allow it
	TooLarge        Code = "too_large"       // a size limit
	RateLimited     Code = "rate_limited"    // too many requests
	Capacity        Code = "capacity"        // the machine or plan is full
	Budget          Code = "budget"          // a spending cap
	Unavailable     Code = "unavailable"     // something needed is missing or down
	Internal        Code = "internal"        // a defect of ours
)

// Codes lists the closed set in a stable order.
func Codes() []Code {
	return []Code{Invalid, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, RateLimited, Capacity, Budget, Unavailable, Internal}
}

// Status is the HTTP status of a code.
func (c Code) Status() int {
	switch c {
	case Invalid:
		return http.StatusBadRequest
	case Unauthenticated:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case RateLimited:
		return http.StatusTooManyRequests
	case Capacity, Unavailable:
		return http.StatusServiceUnavailable
	case Budget:
		return http.StatusPaymentRequired
	default:
		return http.StatusInternalServerError
	}
}

// Exit is the exit code of the CLI for a code: 2 for what the caller can mend in the command itself, 3 for missing
// rights, 4 for what is not there, 5 for a state that may change by itself, 1 for everything else.
func (c Code) Exit() int {
	switch c {
	case Invalid, TooLarge:
		return 2
	case Unauthenticated, Forbidden:
		return 3
	case NotFound:
		return 4
	case Conflict, RateLimited, Capacity, Budget, Unavailable:
		return 5
	default:
		return 1
	}
}

// Title is a short human name of a code.
func (c Code) Title() string {
	s := strings.ReplaceAll(string(c), "_", " ")
	return strings.ToUpper(s[:1]) + s[1:]
}

// Field says what is wrong with one input field. Path is dotted ("config.limits.memoryMb", "names.2").
type Field struct {
	Path   string `json:"field"`
	Detail string `json:"detail"`
}

// Error is a coded error. Detail is a plain sentence for the person who made the request: it names what was wrong and
// the mend, and MUST NOT hold a secret.
type Error struct {
	Code   Code
	Detail string
	Fields []Field
	// HTTPStatus replaces the status of the code where the HTTP contract asks for another; 0 does not.
	HTTPStatus int
	// Unknown marks an effect of which it can't be known whether it happened. It MUST NOT be repeated unseen.
	Unknown bool
	// RetryAfter is when it makes sense to ask again, from now on; 0 when that is not known.
	RetryAfter time.Duration
	cause      error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Detail == "" && len(e.Fields) > 0 {
		return e.Fields[0].Path + ": " + e.Fields[0].Detail
	}
	return e.Detail
}

// Unwrap gives the cause, which is for logs only.
func (e *Error) Unwrap() error { return e.cause }

// New makes a coded error; a trailing %w argument becomes its cause.
func New(code Code, format string, args ...any) *Error {
	wrapped := fmt.Errorf(format, args...)
	return &Error{Code: code, Detail: wrapped.Error(), cause: errors.Unwrap(wrapped)}
}

// Wrap hides a cause behind a coded sentence.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), cause: cause}
}

// BadField makes an Invalid error about one field.
func BadField(path, format string, args ...any) *Error {
	detail := fmt.Sprintf(format, args...)
	return &Error{Code: Invalid, Detail: path + ": " + detail, Fields: []Field{{Path: path, Detail: detail}}}
}

// BadFields makes an Invalid error about several fields; nil when there is none.
func BadFields(fields []Field) error {
	if len(fields) == 0 {
		return nil
	}
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Path + ": " + f.Detail
	}
	return &Error{Code: Invalid, Detail: strings.Join(parts, "; "), Fields: fields}
}

// CodeOf answers the code of err: Internal for an error without one, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Is tells whether err carries code.
func Is(err error, code Code) bool { return err != nil && CodeOf(err) == code }

// Public answers the coded error that may be shown. An error without a code becomes a general Internal sentence, so
// that no internals leak.
func Public(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Internal, Detail: "Something went wrong on our side. The server's log has the details.", cause: err}
}
