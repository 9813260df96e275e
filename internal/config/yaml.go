package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fromFile takes a YAML file. Its values are read as text, so that they mean the same as in a flag. The error is the
// first that there is; what is good is returned all the same.
func fromFile(path string, data []byte) (es entries, err error) {
	root, err := document(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for key, value := range pairs(root) {
		if bad := es.addFrom(path, key, value); err == nil {
			err = bad
		}
	}
	return es, err
}

// addFrom appends what a key of a file says.
func (es *entries) addFrom(path string, key, value *yaml.Node) error {
	at := fmt.Sprintf("%s: line %d: ", path, key.Line)
	setting, err := find(key.Value, yamlName)
	if err != nil {
		return fmt.Errorf("%s%w", at, err)
	}
	where := at + key.Value
	if setting.Key == "config" {
		return fmt.Errorf("%s: a file cannot name another", where)
	}
	texts, err := textsOf(setting, value)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return es.add(entry{setting, where, texts})
}

// document returns the mapping that a file consists of, or nil where it is empty.
func document(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("want keys with values")
	}
	return root, nil
}

// pairs goes through the keys and values of a mapping; of nil, there are none.
func pairs(mapping *yaml.Node) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; mapping != nil && i+1 < len(mapping.Content); i += 2 {
			if !yield(mapping.Content[i], mapping.Content[i+1]) {
				return
			}
		}
	}
}

// textsOf returns a value as a flag would have it. A list may also be one text with commas.
func textsOf(setting Setting, value *yaml.Node) ([]string, error) {
	if !setting.List {
		text, err := textOf(value)
		return []string{text}, err
	}
	if value.Kind != yaml.SequenceNode {
		text, err := textOf(value)
		return splitList(text), err
	}
	texts := []string{}
	for _, item := range value.Content {
		itemText := textOf
		if setting.Key == "nodes" && item.Kind == yaml.MappingNode {
			itemText = specOf
		}
		text, err := itemText(item)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func textOf(value *yaml.Node) (string, error) {
	switch {
	case value.Kind != yaml.ScalarNode:
		return "", errors.New("want one value")
	case value.Tag == "!!null":
		return "", errors.New("there is no value")
	}
	return value.Value, nil
}

// specOf makes a specification of a node that is written as a mapping.
func specOf(mapping *yaml.Node) (string, error) {
	given := make(map[string]bool)
	rawURL, options := "", ""
	for key, value := range pairs(mapping) {
		text, err := textOf(value)
		if err == nil && strings.Contains(text, "#") {
			err = errors.New("a # is not possible here")
		}
		if err == nil && given[key.Value] {
			err = errors.New("given twice")
		}
		given[key.Value] = true
		switch key.Value {
		case "url":
			rawURL = text
		case "do_not_use", "shadow", "backup":
			var on bool
			if err == nil {
				on, err = parseBool(text)
			}
			if on {
				options += "#" + strings.ReplaceAll(key.Value, "_", "-")
			}
		case "jwt_secret":
			options += "#jwt-secret=" + text
		case "timeout", "name":
			options += "#" + key.Value + "=" + text
		default:
			known := []string{"url", "jwt_secret", "timeout", "do_not_use", "shadow", "backup", "name"}
			err = errors.New("unknown setting" + Suggest(key.Value, known))
		}
		if err != nil {
			return "", fmt.Errorf("line %d: %s: %w", key.Line, key.Value, err)
		}
	}
	if rawURL == "" {
		return "", fmt.Errorf("line %d: a node has no url", mapping.Line)
	}
	return rawURL + options, nil
}
