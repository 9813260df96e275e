package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// entry is one setting as one way of setting gave it.
type entry struct {
	setting Setting
	where   string   // how an error names it: "--port", "EXECUTIONBACKUP_PORT", "config.yaml: line 3: port"
	texts   []string // one, unless the setting is a list
}

// entries are what one way of setting gave, each setting at most once.
type entries []entry

// add appends an entry. An alias makes it possible to give one setting under two names.
func (es *entries) add(e entry) error {
	for _, other := range *es {
		if other.setting.Key == e.setting.Key {
			return fmt.Errorf("%s: already set by %s", e.where, other.where)
		}
	}
	*es = append(*es, e)
	return nil
}

// defaultOf begins how an error names a default.
const defaultOf = "default of "

// defaults returns the settings that have one.
func defaults() entries {
	var es entries
	for _, s := range Settings() {
		if s.Default != "" {
			es = append(es, entry{s, defaultOf + s.Key, []string{s.Default}})
		}
	}
	return es
}

// fromFlags takes flags by their names without dashes.
func fromFlags(flags map[string][]string) (entries, error) {
	var es entries
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		where := flagName(name)
		setting, err := find(where, flagName)
		if err != nil {
			return nil, err
		}
		texts := flags[name]
		if setting.List {
			texts = splitList(texts...)
		} else if len(texts) != 1 {
			return nil, fmt.Errorf("%s: give it once, with one value", where)
		}
		if err := es.add(entry{setting, where, texts}); err != nil {
			return nil, err
		}
	}
	return es, nil
}

// fromEnviron takes the variables that are ours and not empty.
func fromEnviron(environ map[string]string) (entries, error) {
	var es entries
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		text := environ[name]
		if !strings.HasPrefix(name, EnvPrefix) || text == "" {
			continue
		}
		setting, err := find(name, envName)
		if err != nil {
			return nil, err
		}
		texts := []string{text}
		if setting.List {
			texts = splitList(text)
		}
		if err := es.add(entry{setting, name, texts}); err != nil {
			return nil, err
		}
	}
	return es, nil
}

// find returns the setting that has this name, or this alias, once spelled.
func find(name string, spell func(key string) string) (Setting, error) {
	var known []string
	for _, s := range Settings() {
		for _, key := range append([]string{s.Key}, s.Aliases...) {
			if spell(key) == name {
				return s, nil
			}
			known = append(known, spell(key))
		}
	}
	return Setting{}, errors.New(name + ": unknown setting" + Suggest(name, known))
}

// splitList returns the parts between the commas, without white space around them. An empty part is none: a list that
// a script puts together ends with a comma, or has two of them.
func splitList(texts ...string) []string {
	var parts []string
	for _, text := range texts {
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
	}
	return parts
}
