// Package page stands in until branch page is merged: delete this file then.
package page

import (
	"fmt"
	"html"
	"io"
	"net/http"

	"ociproxy/internal/console/view"
)

// Section is a part of the page that changes.
type Section struct {
	ID   string
	HTML []byte
}

// Style and Script are files of the page.
var Style, Script = []byte("body{}"), []byte("'use strict';")

// StylePath and ScriptPath are their addresses, relative to the page.
const StylePath, ScriptPath = "console/style-0.css", "console/script-0.js"

// Write writes the page.
func Write(w io.Writer, v *view.View, e *view.Explanation, q view.Question, fault string) error {
	parts, _ := Sections(v)
	fmt.Fprintf(w, "<!doctype html><title>oci-proxy</title>\n")
	for _, p := range parts {
		fmt.Fprintf(w, "<section id=%s>%s</section>\n", p.ID, p.HTML)
	}
	return Explained(w, e, q, fault)
}

// Sections returns the parts that change.
func Sections(v *view.View) ([]Section, error) {
	pre := func(id string, what any) Section {
		return Section{id, []byte("<pre>" + html.EscapeString(fmt.Sprintf("%+v", what)) + "</pre>")}
	}
	return []Section{pre("headline", v.Problems), pre("candidates", v.Candidates), pre("flows", v.Flows), pre("events", v.Events), pre("config", v.Config)}, nil
}

// Explained writes the answer to a question.
func Explained(w io.Writer, e *view.Explanation, q view.Question, fault string) error {
	_, err := fmt.Fprintf(w, "<pre>%s</pre>", html.EscapeString(fmt.Sprintf("%+v %+v %s", q, e, fault)))
	return err
}

// Security sets the headers that keep other pages away.
func Security(h http.Header) { h.Set("Content-Security-Policy", "default-src 'none'") }
