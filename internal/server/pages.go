package server

import (
	"embed"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"yardmaster/internal/errs"
)

//go:embed web
var web embed.FS

// pagePolicy lets a page load only what this server serves.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var hostForm = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$|^\[[0-9a-fA-F:]+\](:[0-9]{1,5})?$`)

// page serves an embedded page, with the version, the table of error codes and the server's address filled in.
func (s *Server) page(name string) http.HandlerFunc {
	version := s.cfg.Version
	if version == "" {
		version = "development"
	}
	text := strings.NewReplacer("{{version}}", escapeHTML(version), "{{errors}}", errorRows()).Replace(asset(name))
	return func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if !hostForm.MatchString(host) { // it goes into a shell command that people copy
			host = "127.0.0.1:7300"
		}
		w.Header().Set("Content-Security-Policy", pagePolicy)
		writeAsset(w, "text/html; charset=utf-8", strings.ReplaceAll(text, "{{host}}", host))
	}
}

// asset serves an embedded file as it is.
func (s *Server) asset(name, contentType string) http.HandlerFunc {
	text := asset(name)
	return func(w http.ResponseWriter, _ *http.Request) { writeAsset(w, contentType, text) }
}

func asset(name string) string {
	raw, err := web.ReadFile("web/" + name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(raw)
}

func writeAsset(w http.ResponseWriter, contentType, text string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write([]byte(text))
}

var escapeHTML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace

// codeTexts say what a client should do about each code.
var codeTexts = map[errs.Code]string{
	errs.Invalid:         "The request is wrong. errors names each wrong field and what is wrong with it.",
	errs.Unauthenticated: "No valid API key came with the request.",
	errs.Forbidden:       "The key is valid, but lacks the right that the request needs.",
	errs.NotFound:        "There is no such thing in this account.",
	errs.Conflict:        "The thing is in a state that does not allow this. detail says which, and what to do first.",
	errs.TooLarge:        "A limit on size. detail names it.",
	errs.RateLimited:     "Too many requests. Wait, then try again.",
	errs.Capacity:        "The machine or the plan is full. Delete something, or raise the limit.",
	errs.Budget:          "A spending cap is reached. Raise it, or wait for the next period.",
	errs.Unavailable:     "Something that is needed is missing or down. Trying again later may help.",
	errs.Internal:        "A defect of the server. Its log has the details under requestId.",
}

func errorRows() string {
	var b strings.Builder
	for _, c := range errs.Codes() {
		b.WriteString(`<tr id="error-` + string(c) + `"><td><code>` + string(c) + `</code></td><td>` + strconv.Itoa(c.Status()) + `</td><td>` + escapeHTML(codeTexts[c]) + "</td></tr>\n")
	}
	return b.String()
}
