package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"executionbackup/internal/apptest"
)

// openAPI is docs/openapi.yaml.
type openAPI struct{ root map[string]any }

func readOpenAPI(t testing.TB) openAPI {
	t.Helper()
	text, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	return openAPI{root}
}

// at returns the value under the keys, with references followed; nil where there is none.
func (d openAPI) at(v any, keys ...string) any {
	for _, key := range append(keys, "") {
		object, _ := v.(map[string]any)
		if ref, is := object["$ref"].(string); is {
			v = d.at(d.root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			object, _ = v.(map[string]any)
		}
		if key != "" {
			v = object[key]
		}
	}
	return v
}

func keys(v any) []string {
	object, _ := v.(map[string]any)
	return slices.Sorted(maps.Keys(object))
}

// operations lists what is documented: "GET /nodes 200".
func (d openAPI) operations() (all []string) {
	paths := d.root["paths"]
	for _, path := range keys(paths) {
		for _, method := range keys(d.at(paths, path)) {
			for _, status := range keys(d.at(paths, path, method, "responses")) {
				all = append(all, strings.ToUpper(method)+" "+path+" "+status)
			}
		}
	}
	return all
}

// check compares an answer with its documentation.
func (d openAPI) check(method, path string, got apptest.Answer) error {
	response := d.at(d.root["paths"], path, strings.ToLower(method), "responses", fmt.Sprint(got.Status))
	if response == nil {
		return fmt.Errorf("HTTP %d is not documented: %s", got.Status, got.Body)
	}
	kind, _, _ := mime.ParseMediaType(got.Header.Get("Content-Type"))
	schema := d.at(response, "content", kind, "schema")
	switch {
	case schema == nil:
		return fmt.Errorf("%s is not documented", kind)
	case kind != "application/json":
		return nil
	}
	var v any
	if err := json.Unmarshal([]byte(got.Body), &v); err != nil {
		return err
	}
	return d.matches(schema, v, "answer")
}

// matches reports where a value is not what the schema says, or has what it doesn't say. A keyword that is unknown here
// is an error, because it would check nothing.
func (d openAPI) matches(schema, v any, where string) error {
	s, _ := d.at(schema).(map[string]any)
	for key := range s {
		if !slices.Contains([]string{"type", "description", "enum", "format",
			"items", "properties", "required", "additionalProperties"}, key) {
			return fmt.Errorf("%s: unknown keyword %s", where, key)
		}
	}
	if enum, _ := s["enum"].([]any); enum != nil && !slices.Contains(enum, v) {
		return fmt.Errorf("%s: %v is none of %v", where, v, enum)
	}
	kind := s["type"]
	if kinds, _ := kind.([]any); slices.Contains(kinds, any("null")) { // [boolean, "null"]
		if v == nil {
			return nil
		}
		kind = kinds[0]
	}
	ok := true
	switch kind {
	case nil:
	case "string":
		var text string
		if text, ok = v.(string); ok && s["format"] == "date-time" {
			_, err := time.Parse(time.RFC3339, text)
			ok = err == nil
		}
	case "integer":
		n, is := v.(float64)
		ok = is && n == float64(int64(n))
	case "boolean":
		_, ok = v.(bool)
	case "array":
		return d.matchesArray(s, v, where)
	case "object":
		return d.matchesObject(s, v, where)
	default:
		return fmt.Errorf("%s: unknown type %v", where, kind)
	}
	if !ok {
		return fmt.Errorf("%s: %v is no %v", where, v, s["type"])
	}
	return nil
}

func (d openAPI) matchesArray(s map[string]any, v any, where string) error {
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s: %v is no array", where, v)
	}
	for i, item := range list {
		if err := d.matches(s["items"], item, fmt.Sprintf("%s[%d]", where, i)); err != nil {
			return err
		}
	}
	return nil
}

func (d openAPI) matchesObject(s map[string]any, v any, where string) error {
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: %v is no object", where, v)
	}
	required, _ := s["required"].([]any)
	for _, key := range required {
		if _, has := object[key.(string)]; !has {
			return fmt.Errorf("%s has no %v", where, key)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for _, key := range keys(v) {
		schema, documented := properties[key]
		if !documented {
			schema, documented = s["additionalProperties"]
		}
		if !documented || schema == false {
			return fmt.Errorf("%s: %s is not documented", where, key)
		}
		if err := d.matches(schema, object[key], where+"."+key); err != nil {
			return err
		}
	}
	return nil
}
